/** Tunnels that only visitors with a certificate may use: refused in the handshake, and nowhere a way around. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, launchAgent, startAgent } from '../harness/agent.ts';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { visitSecurely } from '../harness/tls-visitor.ts';

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

const visit = (servername: string, more: { host?: string; cert?: string; key?: string } = {}) =>
  visitSecurely({ port: relay.httpsPort ?? 0, servername, ca, path: '/headers', ...more });

describe('a tunnel with --client-ca-file', () => {
  it('lets a visitor with a certificate of these authorities in', async () => {
    const answer = await visit('staff.tunnel.test', { cert: member.chainPem, key: member.keyPem });
    expect(answer.status).toBe(200);
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

  it('is refused when what is given are no certificates', async () => {
    const agent = launchAgent({
      relayUrl: relay.secureUrl,
      token,
      target: origin.port,
      name: 'odd',
      args: ['--ca-file', files.caFile, '--client-ca-file', files.keyFile],
    });
    expect((await agent.event('refused')).code).toBe('CERTIFICATE_INVALID');
    await agent.close().catch(() => undefined);
  });
});
