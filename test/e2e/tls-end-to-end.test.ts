/** `porthole http 3000 --end-to-end`: key and certificate are the agent's, the relay passes ciphertext on. */
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { freePortRange } from '../harness/free-ports.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { ChallengeDns, Pebble, pebbleMissing } from '../harness/pebble.ts';
import { RelayUnderTest } from '../harness/relay.ts';
import { everythingIsHere } from '../harness/stage.ts';
import { tempFolder } from '../harness/temp-folder.ts';
import { type SecureVisit, visitSecurely } from '../harness/tls-visitor.ts';
import { TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';

const HERE = fileURLToPath(new URL('../harness/everything-here.mjs', import.meta.url));

describe.skipIf(pebbleMissing())('an end-to-end tunnel', () => {
  const folder = tempFolder();
  let origin: Origin;
  let dns: ChallengeDns;
  let pebble: Pebble;
  let relay: RelayUnderTest;
  let agent: AgentUnderTest;
  let ca: string;
  let relayFiles: ReturnType<typeof writeCertificateFiles>;

  beforeAll(async () => {
    origin = await startOrigin();
    dns = await ChallengeDns.start();
    const { first } = await freePortRange(2);
    pebble = await Pebble.start({ httpPort: first, tlsPort: first + 1, dnsServer: dns.address });
    ca = await pebble.root();
    const relayAuthority = new TestAuthority('Relay CA');
    relayFiles = writeCertificateFiles(relayAuthority, ['tunnel.test', '*.tunnel.test', 'localhost']);
    relay = new RelayUnderTest({
      domain: 'tunnel.test,also.test',
      config: {
        https: `127.0.0.1:${first + 1}`,
        tls: { certificates: [{ cert: relayFiles.chainFile, key: relayFiles.keyFile }] },
      },
    });
    relay.port = first;
    await relay.start();
    agent = await startAgent({
      relayUrl: relay.secureUrl,
      token: await relay.addToken('ada'),
      target: origin.port,
      name: 'private',
      args: [
        '--end-to-end',
        '--domain',
        'tunnel.test',
        '--domain',
        'also.test',
        '--acme-directory',
        pebble.directoryUrl,
        '--ca-file',
        folder.write('ca.pem', relayAuthority.certificatePem + pebble.caPem),
      ],
      env: { NODE_OPTIONS: `--import=${HERE}`, XDG_STATE_HOME: folder.path, PORTHOLE_BASIC_AUTH: 'eve:secret' },
    });
  });
  afterAll(async () => {
    await agent?.close();
    await relay?.close();
    await pebble?.close();
    await dns?.close();
    await origin?.close();
    relayFiles?.remove();
    folder.remove();
  });

  const port = (): number => relay.httpsPort ?? 0;
  const authorization = `Basic ${Buffer.from('eve:secret').toString('base64')}`;
  const visit = (path: string, more: Partial<SecureVisit> = {}) =>
    visitSecurely({ port: port(), servername: 'private.tunnel.test', ca, path, headers: { authorization }, ...more });

  it('gets a certificate of its own through the relay, and tells what visitors see', async () => {
    const told = await agent.event('certificate', () => true, 30_000);
    const { certificate, status } = await visit('/headers');
    expect(status).toBe(200);
    expect(certificate.issuer.CN).toContain('Pebble');
    expect(certificate.fingerprint256).toBe(told['fingerprint']);
    expect(told['seen']).toBe('same');
  });

  it('has one certificate for all domains of the tunnel', async () => {
    const told = await agent.event('certificate', ({ name }) => name === 'private.also.test', 30_000);
    const { certificate, status } = await visit('/headers', { servername: 'private.also.test' });
    expect([status, certificate.fingerprint256, told['seen']]).toEqual([200, told['fingerprint'], 'same']);
    expect(certificate.subjectaltname?.split(', ').sort()).toEqual([
      'DNS:private.also.test',
      'DNS:private.tunnel.test',
    ]);
  });

  it('keeps the key on its side, readable by its user only', () => {
    const kept = `${folder.path}/porthole/certificates`;
    const files = readdirSync(kept);
    expect(files.some((file) => file.startsWith('private.tunnel.test-'))).toBe(true);
    for (const file of files) expect(statSync(`${kept}/${file}`).mode & 0o077).toBe(0);
  });

  it('asks for the password on its side, and tells the service who the visitor is', async () => {
    const refused = await visit('/headers', { headers: {} });
    expect([refused.status, refused.headers['www-authenticate']]).toEqual([401, expect.stringContaining('Basic')]);
    const headers = { authorization, 'x-forwarded-for': '6.6.6.6', 'x-forwarded-proto': 'http' };
    const { body } = await visit('/headers', { headers });
    expect(body).toMatch(/"X-Forwarded-For",\s*"127\.0\.0\.1"/);
    expect(body).toMatch(/"X-Forwarded-Proto",\s*"https"/);
    expect(body).not.toMatch(/6\.6\.6\.6|secret|Basic/);
  });

  it('passes bodies, keeps connections and lets WebSockets through', async () => {
    const body = 'x'.repeat(2_000_000);
    const { body: back } = await visit('/echo', { method: 'POST', body });
    expect(back.length).toBe(body.length);
    expect((await visit('/size/5000000')).body.length).toBe(5_000_000);
    const socket = new WebSocket(`wss://private.tunnel.test:${port()}/`, {
      ca,
      lookup: everythingIsHere,
      headers: { authorization },
    });
    await once(socket, 'open');
    socket.send('hello');
    expect(String(((await once(socket, 'message')) as [Buffer])[0])).toBe('hello');
    socket.terminate();
  });

  it('gives plain http a redirect and never an answer of its own', async () => {
    const answer = await fetch(`http://127.0.0.1:${relay.port}/x`, { redirect: 'manual' });
    expect(answer.status).toBe(308);
  });
});
