/** HTTP tunnels by port: what a relay without a domain gives, in plain HTTP and with TLS, and what one with a domain gives too. */
import { connect as connectH2 } from 'node:http2';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Agent, type Tunnel } from '@porthole/agent';
import { TestAuthority, type CertificateFiles, writeCertificateFiles } from '../harness/certificates.ts';
import { freePortRange } from '../harness/free-ports.ts';
import { type RelayInProcess, startRelayInProcess } from '../harness/in-process.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { type RawOrigin, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, getRequest } from '../harness/raw-visitor.ts';
import { connectSecurely, visitSecurely } from '../harness/tls-visitor.ts';
import { connectWire } from '../harness/wire.ts';

const authority = new TestAuthority();
const staff = new TestAuthority('Staff CA');
const member = staff.issue(['ada@staff'], { usages: ['clientAuth'] });
const ca = authority.certificatePem;
let files: CertificateFiles[];
let origin: Origin;
let raw: RawOrigin;
let ports: { readonly first: number; readonly last: number };
/** By address only: in plain HTTP, and with a certificate for the address. */
let plain: RelayInProcess;
let secure: RelayInProcess;
let overPlain: Agent;
let overSecure: Agent;

beforeAll(async () => {
  files = [['tunnel.test', '*.tunnel.test'], ['127.0.0.1']].map((names) => writeCertificateFiles(authority, names));
  [origin, raw, ports] = await Promise.all([startOrigin(), startRawOrigin(), freePortRange(8)]);
  const { first, last } = ports;
  plain = await startRelayInProcess({ domain: '127.0.0.1', 'tcp.ports': `${first}-${first + 3}` });
  secure = await startRelayInProcess(
    { domain: 'tunnel.test,127.0.0.1', https: '127.0.0.1:0', 'tcp.ports': `${first + 4}-${last}` },
    { tls: { certificates: files.map(({ chainFile, keyFile }) => ({ cert: chainFile, key: keyFile })) } },
  );
  overPlain = new Agent({ relay: plain.url });
  overSecure = new Agent({ relay: `https://127.0.0.1:${secure.httpsPort}`, ca });
});
afterAll(async () => {
  await Promise.all([overPlain?.close(0), overSecure?.close(0)]);
  await Promise.all([plain?.close(), secure?.close(), origin?.close(), raw?.close()]);
  for (const each of files ?? []) each.remove();
});

const open = (agent: Agent, more: Partial<Parameters<Agent['expose']>[0]> = {}): Promise<Tunnel> =>
  agent.expose({ target: origin.port, ...more });

describe('a relay that has an address only', () => {
  it('gives an HTTP tunnel a port, where any host is answered and the visitor is named', async () => {
    await using tunnel = await open(overPlain);
    expect(tunnel.url).toBe(`http://127.0.0.1:${tunnel.port}`);
    const answer = await askOnce(tunnel.url, getRequest('http://whatever.test', '/headers'));
    expect(answer.status).toBe(200);
    const seen = answer.body.toString().toLowerCase();
    expect(seen).toContain('whatever.test');
    expect(seen).toContain('x-forwarded-for');
  });

  it('gives the port wanted, refuses names, and keeps nothing of it for itself', async () => {
    const wanted = ports.first + 3;
    await using tunnel = await open(overPlain, { remotePort: wanted });
    expect(tunnel.port).toBe(wanted);
    await expect(open(overPlain, { name: 'shop' })).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
    await expect(open(overPlain, { remotePort: 1 })).rejects.toMatchObject({ code: 'PORT_NOT_ALLOWED' });
    // No agent comes in there: everything on the port is the tunnel's.
    expect((await askOnce(tunnel.url, getRequest(tunnel.url, '/.well-known/porthole'))).status).toBe(200);
    expect((await askOnce(plain.url, getRequest(plain.url, '/size/1'))).status).toBe(404);
  });

  it('speaks HTTP/2 there with who begins with it', async () => {
    await using tunnel = await open(overPlain);
    const session = connectH2(tunnel.url);
    const stream = session.request({ ':path': '/size/10' });
    const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];
    expect(headers[':status']).toBe(200);
    stream.resume();
    await once(stream, 'end');
    session.close();
  });

  it('may have the port served raw and as HTTP by turns, without a new listener', async () => {
    const wanted = ports.first + 2;
    const web = await open(overPlain, { remotePort: wanted });
    const taken = once(web, 'closed');
    await using tcp = await open(overPlain, { remotePort: wanted, target: raw.port, protocol: 'tcp' });
    await taken;
    const visitor = await connectWire({ host: '127.0.0.1', port: wanted });
    await visitor.send('not http');
    const service = await raw.accept();
    await service.readUntil('not http');
    await visitor.close();
    await service.close();
    expect(tcp.url).toBe(`tcp://127.0.0.1:${wanted}`);
  });
});

describe('with a certificate for the address', () => {
  const byAddress = { domain: '127.0.0.1' };

  it('its tunnels by port speak TLS, HTTP/2 included, and say so', async () => {
    await using tunnel = await open(overSecure, byAddress);
    expect(tunnel.url).toBe(`https://127.0.0.1:${tunnel.port}`);
    const port = tunnel.port ?? 0;
    const answer = await visitSecurely({ port, servername: '', host: '127.0.0.1', ca, path: '/headers' });
    expect(answer.status).toBe(200);
    expect(answer.body.toLowerCase()).toContain('"https"');
    const socket = await connectSecurely({ port, servername: '', ca, ALPNProtocols: ['h2'] });
    expect(socket.alpnProtocol).toBe('h2');
    socket.destroy();
    // Plain HTTP is told what is wrong.
    expect((await askOnce(`http://127.0.0.1:${port}`, getRequest(tunnel.url))).status).toBe(400);
  });

  it('asks for visitors’ certificates on the port of a tunnel that wants them, and on no other', async () => {
    await using closed = await open(overSecure, { ...byAddress, clientCa: staff.certificatePem });
    await using free = await open(overSecure, byAddress);
    const visit = (port: number | undefined, own: { cert?: string; key?: string } = {}) =>
      visitSecurely({ port: port ?? 0, servername: '', host: '127.0.0.1', ca, path: '/size/1', ...own });
    await expect(visit(closed.port)).rejects.toThrow();
    expect((await visit(closed.port, { cert: member.chainPem, key: member.keyPem })).status).toBe(200);
    expect((await visit(free.port)).status).toBe(200);
  });

  it('has names beside ports when it has a domain as well', async () => {
    await using named = await open(overSecure, { name: 'shop' });
    expect(named.url).toBe(`https://shop.tunnel.test:${secure.httpsPort}`);
    await using ported = await open(overSecure, { remotePort: ports.last });
    expect(ported.url).toBe(`https://tunnel.test:${ports.last}`);
    const visit = { port: ports.last, servername: 'tunnel.test', ca, path: '/size/1' };
    expect((await visitSecurely(visit)).status).toBe(200);
    const both = open(overSecure, { name: 'a', remotePort: ports.last });
    await expect(both).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
  });
});
