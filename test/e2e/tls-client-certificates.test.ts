/** Tunnels that only visitors with a certificate may use: refused in the handshake, and nowhere a way around. */
import { once } from 'node:events';
import * as http2 from 'node:http2';
import { Agent } from '@porthole/agent';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, launchAgent, startAgent } from '../harness/agent.ts';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { within } from '../harness/until.ts';
import { connectSecurely, type SecureVisit, visitSecurely } from '../harness/tls-visitor.ts';

const authority = new TestAuthority();
const staff = new TestAuthority('Staff CA');
const ca = authority.certificatePem;
const member = staff.issue(['ada@staff'], { usages: ['clientAuth'] });
const stranger = new TestAuthority('Staff CA').issue(['eve@staff'], { usages: ['clientAuth'] });
let files: CertificateFiles;
let staffFiles: CertificateFiles;
let relay: RelayUnderTest;
let origin: Origin;
let agents: AgentUnderTest[];
let token: string;

beforeAll(async () => {
  files = writeCertificateFiles(authority, ['tunnel.test', '*.tunnel.test', 'localhost']);
  staffFiles = writeCertificateFiles(staff, ['unused.test']);
  origin = await startOrigin();
  relay = await startRelay({
    domain: 'tunnel.test',
    config: { https: '127.0.0.1:0', tls: { certificates: [{ cert: files.chainFile, key: files.keyFile }] } },
  });
  token = await relay.addToken('ada');
  const start = (name: string, args: readonly string[]): Promise<AgentUnderTest> =>
    startAgent({
      relayUrl: relay.secureUrl,
      token,
      target: origin.port,
      name,
      args: ['--ca-file', files.caFile, ...args],
    });
  agents = [await start('staff', ['--client-ca-file', staffFiles.caFile]), await start('open', [])];
});
afterAll(async () => {
  for (const agent of agents ?? []) await agent.close();
  await relay?.close();
  await origin?.close();
  files?.remove();
  staffFiles?.remove();
});

const visit = (servername: string, more: Partial<SecureVisit> = {}) =>
  visitSecurely({ port: relay.httpsPort ?? 0, servername, ca, path: '/headers', ...more });

describe('a tunnel with --client-ca-file', () => {
  it('lets a visitor with a certificate of these authorities in', async () => {
    const answer = await visit('staff.tunnel.test', { cert: member.chainPem, key: member.keyPem });
    expect(answer.status).toBe(200);
  });

  it('tells the service whose certificate it was, in HTTP/1.1 and HTTP/2, resumed or not, and takes no other word for it', async () => {
    const forged = { 'client-cert': ':Zm9yZ2Vk:', 'Client-Cert-Chain': ':Zm9yZ2Vk:' };
    const expected = `:${member.x509.raw.toString('base64')}:`;
    const shown = { cert: member.chainPem, key: member.keyPem };
    const told = (body: string): string[] =>
      [...body.matchAll(/"client-cert[^"]*",\s*"([^"]*)"/gi)].map(([, value]) => value ?? '');
    expect(told((await visit('staff.tunnel.test', { ...shown, headers: forged })).body)).toEqual([expected]);
    expect(told((await visit('open.tunnel.test', { headers: forged })).body)).toEqual([]);

    const servername = 'staff.tunnel.test';
    const options = { port: relay.httpsPort ?? 0, servername, ca, ALPNProtocols: ['h2'], ...shown };
    const first = await connectSecurely(options);
    const [session] = (await once(first, 'session')) as [Buffer];
    first.destroy();
    const socket = await connectSecurely({ ...options, session });
    expect(socket.isSessionReused()).toBe(true);
    const client = http2.connect(`https://${servername}`, { createConnection: () => socket });
    const stream = client.request({ ':path': '/headers', ...forged });
    let body = '';
    stream.setEncoding('latin1').on('data', (text: string) => (body += text));
    await once(stream, 'end');
    client.destroy();
    expect(told(body)).toEqual([expected]);
  });

  it('lets nobody else in, with none or with another authority’s', async () => {
    const before = origin.seen.length;
    await expect(visit('staff.tunnel.test')).rejects.toThrow();
    await expect(visit('staff.tunnel.test', { cert: stranger.chainPem, key: stranger.keyPem })).rejects.toThrow();
    expect(origin.seen.length).toBe(before);
  });

  it('cannot be reached over a connection that was opened for another name', async () => {
    expect((await visit('open.tunnel.test')).status).toBe(200);
    expect((await visit('open.tunnel.test', { host: 'staff.tunnel.test' })).status).toBe(421);
    expect(
      (await visit('staff.tunnel.test', { host: 'open.tunnel.test', cert: member.chainPem, key: member.keyPem }))
        .status,
    ).toBe(421);
  });

  it('is refused when what is given are no certificates, by the agent and by the relay', async () => {
    const agent = launchAgent({
      relayUrl: relay.secureUrl,
      token,
      target: origin.port,
      name: 'odd',
      args: ['--ca-file', files.caFile, '--client-ca-file', files.keyFile],
    });
    expect(await agent.event('error')).toMatchObject({
      code: 'CERTIFICATE_INVALID',
      message: expect.stringContaining(files.keyFile),
    });
    expect((await within('the agent ends', agent.program.exited)).code).toBe(2);
    await agent.close().catch(() => undefined);
    const library = new Agent({ relay: relay.secureUrl, token, ca });
    await expect(library.expose({ target: origin.port, name: 'odd', clientCa: 'none' })).rejects.toMatchObject({
      code: 'CERTIFICATE_INVALID',
    });
    await library.close();
  });
});
