/** TLS that the relay does not end: by SNI to a tunnel, every byte as it came, and PROXY headers for origins. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readProxyHeader } from '../../packages/relay/src/tls/proxy-protocol.ts';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { Listener } from '../harness/listener.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { connectSecurely, visitSecurely } from '../harness/tls-visitor.ts';
import { until, within } from '../harness/until.ts';

const authority = new TestAuthority('Service CA');
const ca = authority.certificatePem;
let files: CertificateFiles;
let relay: RelayUnderTest;
let service: Listener;
let agent: AgentUnderTest;
let token: string;

beforeAll(async () => {
  files = writeCertificateFiles(new TestAuthority('Relay CA'), ['tunnel.test', '*.tunnel.test', 'localhost']);
  const { keyPem, chainPem } = authority.issue(['vault.tunnel.test']);
  service = await new Listener(
    createTlsServer({ key: keyPem, cert: chainPem, ALPNProtocols: ['echo/1'] }, (socket) =>
      socket.on('error', () => undefined).pipe(socket),
    ),
  ).listen();
  relay = await startRelay({
    domain: 'tunnel.test',
    tcpPorts: 2,
    config: { https: '127.0.0.1:0', tls: { certificates: [{ cert: files.chainFile, key: files.keyFile }] } },
  });
  token = await relay.addToken('ada');
  agent = await startAgent({
    relayUrl: relay.secureUrl,
    kind: 'tls',
    target: service.port,
    name: 'vault',
    token,
    args: ['--ca-file', files.caFile],
  });
});
afterAll(async () => {
  await agent?.close();
  await relay?.close();
  await service?.close();
  files?.remove();
});

describe('a TLS tunnel', () => {
  it('leads visitors to the service’s own TLS, certificate and protocol included', async () => {
    expect(await agent.url()).toBe(`https://vault.tunnel.test:${relay.httpsPort}`);
    const socket = await connectSecurely({
      port: relay.httpsPort ?? 0,
      servername: 'vault.tunnel.test',
      ca,
      ALPNProtocols: ['echo/1'],
    });
    expect(socket.getPeerCertificate().issuer.CN).toBe('Service CA');
    expect(socket.alpnProtocol).toBe('echo/1');
    const text = 'x'.repeat(1_000_000);
    let back = 0;
    socket.on('data', (chunk: Buffer) => (back += chunk.length));
    socket.end(text);
    await within('the end', once(socket, 'end'));
    expect(back).toBe(text.length);
  });

  it('takes a hello that comes byte by byte', async () => {
    const raw = connect({ port: relay.httpsPort ?? 0, host: '127.0.0.1', noDelay: true });
    const slow = createServer((near) => {
      near.on('data', (chunk: Buffer) => {
        if (chunk.length < 2_000) for (const byte of chunk) raw.write(Buffer.from([byte]));
        else raw.write(chunk);
      });
      raw.pipe(near);
      near.on('error', () => undefined);
    }).listen(0);
    await once(slow, 'listening');
    const address = slow.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const socket = await connectSecurely({ port, servername: 'vault.tunnel.test', ca });
    socket.destroy();
    raw.destroy();
    slow.close();
  });

  it('leaves every other name to the relay', async () => {
    const answer = await visitSecurely({
      port: relay.httpsPort ?? 0,
      servername: 'other.tunnel.test',
      ca: readFileSync(files.caFile, 'utf8'),
    });
    expect(answer.status).toBe(404);
  });

  it('waits for an agent that is away, and never answers in its place', async () => {
    agent.program.signal('SIGSTOP');
    const waiting = connectSecurely({ port: relay.httpsPort ?? 0, servername: 'vault.tunnel.test', ca });
    agent.program.signal('SIGCONT');
    const socket = await waiting;
    expect(socket.getPeerCertificate().issuer.CN).toBe('Service CA');
    socket.destroy();
  });
});

describe.each(['v1', 'v2'] as const)('PROXY protocol %s to an origin', (version) => {
  it('names the visitor before his bytes', async () => {
    const heard: Buffer[] = [];
    const origin = await new Listener(
      createServer((socket) => socket.on('data', (chunk: Buffer) => void heard.push(chunk))),
    ).listen();
    const tcp = await startAgent({
      relayUrl: relay.secureUrl,
      kind: 'tcp',
      target: origin.port,
      token,
      args: ['--ca-file', files.caFile, '--proxy-protocol', version],
    });
    try {
      const port = Number(new URL(await tcp.url()).port);
      const visitor = connect({ port, host: '127.0.0.1' });
      visitor.write('hello');
      await until('all of it is there', () => Buffer.concat(heard).includes('hello'));
      const bytes = Buffer.concat(heard);
      const read = readProxyHeader(bytes);
      expect(read).toMatchObject({
        state: 'done',
        header: { source: { address: '127.0.0.1', port: visitor.localPort }, destination: { port } },
      });
      expect(bytes.subarray(read.state === 'done' ? read.length : 0).toString()).toBe('hello');
      visitor.destroy();
    } finally {
      await tcp.close();
      await origin.close();
    }
  });
});
