/** HTTPS at the relay: certificates from files, agents and visitors on one door, and everything that is not TLS. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeProxyV1, encodeProxyV2 } from '../../packages/relay/src/tls/proxy-protocol.ts';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { type CarrierCutter, startCarrierCutter } from '../harness/carrier-cutter.ts';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { connectSecurely, visitSecurely } from '../harness/tls-visitor.ts';
import { until, within } from '../harness/until.ts';
import { connectWire } from '../harness/wire.ts';

const HALF_OPEN = 5_000;
const authority = new TestAuthority();
let files: CertificateFiles;
let relay: RelayUnderTest;
let origin: Origin;
let cutter: CarrierCutter;
let agent: AgentUnderTest;
let ca: string;

beforeAll(async () => {
  files = writeCertificateFiles(authority, ['tunnel.test', '*.tunnel.test', 'localhost']);
  ca = authority.certificatePem;
  origin = await startOrigin();
  relay = await startRelay({
    domain: 'tunnel.test',
    config: {
      https: '127.0.0.1:0',
      heartbeat: '1s',
      limits: { max_visitors_per_address: 20_000 },
      tls: { certificates: [{ cert: files.chainFile, key: files.keyFile }] },
    },
  });
  cutter = await startCarrierCutter({ port: () => relay.httpsPort ?? 0 });
  agent = await startAgent({
    relayUrl: cutter.url.replace('http://127.0.0.1', 'https://localhost'),
    token: await relay.addToken('ada'),
    target: origin.port,
    name: 'shop',
    args: ['--ca-file', files.caFile],
  });
});
afterAll(async () => {
  await agent?.close();
  await cutter?.close();
  await relay?.close();
  await origin?.close();
  files?.remove();
});

const port = (): number => relay.httpsPort ?? 0;
const visit = (path = '/', more: { servername?: string; host?: string; method?: string; body?: string } = {}) =>
  visitSecurely({ port: port(), servername: 'shop.tunnel.test', ca, path, ...more });

describe('a relay with https', () => {
  it('gives https URLs, and the origin sees how the visitor came', async () => {
    expect(await agent.url()).toBe(`https://shop.tunnel.test:${port()}`);
    const answer = await visit('/headers');
    expect(answer.status).toBe(200);
    expect(JSON.stringify(JSON.parse(answer.body)).toLowerCase()).toContain('https');
  });

  it('binds the session to the TLS carrier and resumes it after a cut', async () => {
    const download = visit('/size/20000000');
    await until('bytes flow', () => cutter.bytes.up > 3_000_000);
    cutter.cut('reset');
    expect((await download).body.length).toBe(20_000_000);
    expect(await relay.metric('porthole_resumes_total')).toBeGreaterThan(0);
  });

  it('sends visitors of the http address to https, bodies and queries kept, and lets no agent in there', async () => {
    const answer = await fetch(`http://127.0.0.1:${relay.port}/a?b=c`, {
      method: 'POST',
      body: 'x',
      redirect: 'manual',
    });
    expect(answer.status).toBe(308);
    expect(answer.headers.get('location')).toBe(`https://127.0.0.1:${port()}/a?b=c`);
    const upgrade = await connectWire({ host: '127.0.0.1', port: relay.port });
    await upgrade.send(
      'GET /.well-known/porthole HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: porthole\r\n\r\n',
    );
    expect((await upgrade.readUntil('\r\n')).toString()).toContain('308');
    await upgrade.close();
  });

  it('refuses names that are nobody’s before the handshake', async () => {
    await expect(visit('/', { servername: 'evil.example.com' })).rejects.toThrow(/unrecognized name|alert number 112/i);
  });

  it('answers 404 for a name of its own without a tunnel', async () => {
    expect((await visit('/', { servername: 'nobody.tunnel.test' })).status).toBe(404);
  });

  it('answers 421 for a host that the certificate shown is not for', async () => {
    expect((await visit('/', { host: 'evil.example.com' })).status).toBe(421);
    expect((await visit('/', { host: 'nobody.tunnel.test' })).status).toBe(404);
  });

  it('resumes TLS sessions', async () => {
    const first = await connectSecurely({ port: port(), servername: 'shop.tunnel.test', ca });
    const [session] = (await within('a ticket', once(first, 'session'))) as [Buffer];
    first.destroy();
    const second = await connectSecurely({ port: port(), servername: 'shop.tunnel.test', ca, session });
    expect(second.isSessionReused()).toBe(true);
    second.destroy();
  });

  it('does not speak TLS 1.1', async () => {
    const old = connectSecurely({
      port: port(),
      servername: 'shop.tunnel.test',
      ca,
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await expect(old).rejects.toThrow();
  });

  it('begins no handshake anew on a connection that stands', async () => {
    const socket = await connectSecurely({ port: port(), servername: 'shop.tunnel.test', ca, maxVersion: 'TLSv1.2' });
    const refused = once(socket, 'error') as Promise<[Error & { code: string }]>;
    socket.renegotiate({}, () => undefined);
    const [{ code }] = await within('the refusal', refused);
    expect(code).toBe('ERR_SSL_NO_RENEGOTIATION');
    socket.destroy();
  });

  it('says so to somebody who speaks plain HTTP, and gives garbage an alert', async () => {
    const plain = await connectWire({ host: '127.0.0.1', port: port() });
    await plain.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await plain.readToEnd()).toString()).toContain('https://');
    await plain.close();
    const garbage = await connectWire({ host: '127.0.0.1', port: port() });
    await garbage.send(Buffer.from('00ff'.repeat(500), 'hex'));
    expect((await garbage.readToEnd())[0]).toBe(21);
    await garbage.close();
  });

  it('swaps certificates without dropping connections', async () => {
    const standing = await connectSecurely({ port: port(), servername: 'shop.tunnel.test', ca });
    const before = standing.getPeerCertificate().serialNumber;
    const next = authority.issue(['tunnel.test', '*.tunnel.test', 'localhost']);
    writeFileSync(files.keyFile, next.keyPem);
    writeFileSync(files.chainFile, next.chainPem);
    const after = await until('the new one is shown', async () => {
      const { serialNumber } = (await visit('/headers')).certificate;
      return serialNumber === before ? undefined : serialNumber;
    });
    expect(after).toBe(next.x509.serialNumber);
    standing.write('GET /headers HTTP/1.1\r\nHost: shop.tunnel.test\r\nConnection: close\r\n\r\n');
    const [head] = (await once(standing, 'data')) as [Buffer];
    expect(head.toString()).toMatch(/^HTTP\/1.1 200/);
    standing.destroy();
    expect(agent.events.filter(({ event }) => event === 'interrupted').length).toBeLessThanOrEqual(1);
  });

  it('keeps the old certificate when the new files do not fit together', async () => {
    const before = (await visit('/headers')).certificate.serialNumber;
    copyFileSync(files.keyFile, `${files.keyFile}.good`);
    writeFileSync(files.keyFile, new TestAuthority().issue(['localhost']).keyPem);
    await relay.program.waitForLine('the relay complains', (line) => line.includes('certificate file') || undefined);
    expect((await visit('/headers')).certificate.serialNumber).toBe(before);
    copyFileSync(`${files.keyFile}.good`, files.keyFile);
  });

  it('serves others while thousands hold half a hello open, and lets those go in time', async () => {
    const half = Buffer.from('160301020001000', 'hex');
    const sockets: Socket[] = [];
    for (let i = 0; i < HALF_OPEN; i++) {
      const socket = connect({ port: port(), host: '127.0.0.1' });
      socket.on('error', () => undefined);
      socket.write(half);
      sockets.push(socket);
    }
    await Promise.all(sockets.slice(-10).map((socket) => once(socket, 'connect')));
    const began = performance.now();
    for (let i = 0; i < 10; i++) expect((await visit('/headers')).status).toBe(200);
    expect(performance.now() - began).toBeLessThan(5_000);
    await until('they are gone', async () => (await relay.metric('porthole_tls_half_open')) === 0);
    for (const socket of sockets) socket.destroy();
  });
});

describe('a relay behind a load balancer that speaks PROXY protocol', () => {
  it('believes its headers, requires them, and nobody else’s', async () => {
    const behind = await startRelay({
      domain: 'tunnel.test',
      config: {
        https: '127.0.0.1:0',
        tls: { self_signed: true },
        redirect_http: false,
        proxy_protocol: { from: ['127.0.0.1'] },
      },
    });
    // The agent comes over http, which the load balancer does not serve.
    const near = await startAgent({
      relayUrl: behind.url,
      token: await behind.addToken('ada'),
      target: origin.port,
      name: 'shop',
    });
    try {
      const source = { address: '203.0.113.9', port: 4711 };
      const destination = { address: '198.51.100.1', port: 443 };
      for (const header of [encodeProxyV1(source, destination), encodeProxyV2(source, destination)]) {
        const socket = connect({ port: behind.httpsPort ?? 0, host: '127.0.0.1' });
        socket.write(header);
        const answer = await visitSecurely({
          port: behind.httpsPort ?? 0,
          socket,
          servername: 'shop.tunnel.test',
          rejectUnauthorized: false,
          path: '/headers',
        });
        expect(answer.body).toContain('203.0.113.9');
      }
      const bare = visitSecurely({
        port: behind.httpsPort ?? 0,
        servername: 'shop.tunnel.test',
        rejectUnauthorized: false,
      });
      await expect(bare).rejects.toThrow();
      expect(await behind.metric('porthole_tls_bad_proxy_headers_total')).toBe(1);
    } finally {
      await near.close();
      await behind.close();
    }
  });
});
