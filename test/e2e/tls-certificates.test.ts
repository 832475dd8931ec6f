/** Certificates without work: a relay and Debian's pebble as real processes, for every way in which a name is proven. */
import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, launchAgent, startAgent } from '../harness/agent.ts';
import { freePortRange } from '../harness/free-ports.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { ChallengeDns, Pebble, pebbleMissing } from '../harness/pebble.ts';
import { RelayUnderTest } from '../harness/relay.ts';
import { tempFolder } from '../harness/temp-folder.ts';
import { connectSecurely, visitSecurely } from '../harness/tls-visitor.ts';
import { until } from '../harness/until.ts';

describe.skipIf(pebbleMissing())('a relay that orders its certificates', () => {
  const folder = tempFolder();
  const open: { close(): Promise<void> }[] = [];
  let origin: Origin;
  let dns: ChallengeDns;

  beforeAll(async () => {
    origin = await startOrigin();
    dns = await ChallengeDns.start();
  });
  afterAll(async () => {
    await dns?.close();
    await origin?.close();
    folder.remove();
  });
  afterEach(async () => {
    for (const part of open.splice(0).toReversed()) await part.close();
  });

  interface Scene {
    readonly relay: RelayUnderTest;
    readonly pebble: Pebble;
    /** Of what pebble issues. */
    readonly ca: string;
  }

  async function scene(domain: string, config: Record<string, unknown>, asksRelay = false): Promise<Scene> {
    const { first } = await freePortRange(3);
    const pebble = await Pebble.start({
      httpPort: first,
      tlsPort: first + 1,
      dnsServer: asksRelay ? `127.0.0.1:${first + 2}` : dns.address,
    });
    open.push(pebble);
    const { acme, ...rest } = config;
    const relay = new RelayUnderTest({
      domain,
      config: {
        https: `127.0.0.1:${first + 1}`,
        acme: {
          directory: pebble.directoryUrl,
          ca_file: folder.write('pebble-ca.pem', pebble.caPem),
          ...(acme as Record<string, unknown>),
        },
        custom_domains: { resolvers: [dns.address] },
        ...(asksRelay ? { dns: { zone: `_acme-challenge.${domain}`, listen: `127.0.0.1:${first + 2}` } } : {}),
        ...rest,
      },
    });
    relay.port = first;
    await relay.start();
    open.push(relay);
    return { relay, pebble, ca: await pebble.root() };
  }

  async function startTunnel({ relay }: Scene, args: readonly string[]): Promise<AgentUnderTest> {
    const agent = await startAgent(await agentOptions(relay, args));
    open.push(agent);
    return agent;
  }

  /** Over the relay's own certificate, whatever that is just now. */
  async function agentOptions(relay: RelayUnderTest, args: readonly string[]) {
    const token = await relay.addToken('ada');
    return {
      relayUrl: relay.secureUrl,
      token,
      target: origin.port,
      args,
      env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    };
  }

  const issued = async (relay: RelayUnderTest, name: string): Promise<void> => {
    await relay.program.waitForLine(
      `a certificate for ${name}`,
      (line) => (line.includes('certificate issued') && line.includes(`"${name}"`)) || undefined,
      30_000,
    );
  };

  it.each(['http-01', 'tls-alpn-01'] as const)(
    'gets one for its domain by %s, and one per tunnel on first use',
    async (challenge) => {
      const place = await scene('tunnel.test', { acme: { challenge, email: 'ops@tunnel.test' } });
      const { relay, ca } = place;
      await issued(relay, 'tunnel.test');
      await startTunnel(place, ['--name', 'shop']);
      const port = relay.httpsPort ?? 0;
      const answer = await visitSecurely({ port, servername: 'shop.tunnel.test', ca, path: '/headers' });
      expect(answer.status).toBe(200);
      expect(answer.certificate.subjectaltname).toBe('DNS:shop.tunnel.test');
      // A name that nobody holds gets none.
      const nobody = await connectSecurely({ port, servername: 'nobody.tunnel.test', rejectUnauthorized: false }).catch(
        (error: Error) => error,
      );
      expect(nobody).toBeInstanceOf(Error);
      const status = JSON.parse(await relay.admin('/api/status')) as { certificates: { names: string[] }[] };
      await until('the admin address knows', async () =>
        JSON.stringify(JSON.parse(await relay.admin('/api/status'))).includes('"tunnel.test"'),
      );
      expect(status.certificates).toBeDefined();
    },
  );

  it('proves a wildcard as the name server of its own zone', async () => {
    const place = await scene('tunnel.test', {}, true);
    await issued(place.relay, '*.tunnel.test');
    const { certificate } = await visitSecurely({
      port: place.relay.httpsPort ?? 0,
      servername: 'anything.tunnel.test',
      ca: place.ca,
    });
    expect(certificate.subjectaltname).toContain('DNS:*.tunnel.test');
  });

  it('has a certificate for its address when it has no domain, and shows it on the ports of its tunnels', async () => {
    const { first } = await freePortRange(1);
    const place = await scene('127.0.0.1', { tcp: { ports: String(first) } });
    await issued(place.relay, '127.0.0.1');
    const port = place.relay.httpsPort ?? 0;
    const socket = await until('it is served', () =>
      connectSecurely({ port, ca: place.ca, servername: '' }).catch(() => undefined),
    );
    expect(new X509Certificate(socket.getPeerCertificate().raw).checkIP('127.0.0.1')).toBe('127.0.0.1');
    socket.destroy();
    const agent = await startTunnel(place, []);
    expect(await agent.url()).toBe(`https://127.0.0.1:${first}`);
    const visit = { port: first, servername: '', host: '127.0.0.1', ca: place.ca, path: '/headers' };
    expect((await visitSecurely(visit)).status).toBe(200);
  });

  it('serves a domain that a user brings once DNS proves it, to nobody else, and orders its certificate then', async () => {
    const place = await scene('tunnel.test', {});
    const { relay, ca } = place;
    const port = relay.httpsPort ?? 0;
    const before = launchAgent(await agentOptions(relay, ['--domain', 'app.customer.test']));
    open.push(before);
    const refusal = await before.event('refused');
    expect(refusal.code).toBe('DOMAIN_NOT_PROVEN');
    const proof = /CNAME (\S+)/.exec(String(refusal['message']))?.[1] ?? '';
    await dns.setCname('app.customer.test', proof);

    const agent = await startTunnel(place, ['--domain', 'app.customer.test']);
    expect(await agent.url()).toBe(`https://app.customer.test:${port}`);
    const answer = await visitSecurely({ port, servername: 'app.customer.test', ca, path: '/headers' });
    expect(answer.status).toBe(200);
    expect(answer.certificate.subjectaltname).toBe('DNS:app.customer.test');

    const other = launchAgent({
      ...(await agentOptions(relay, ['--domain', 'app.customer.test'])),
      token: await relay.addToken('eve'),
    });
    open.push(other);
    expect((await other.event('refused')).code).toBe('DOMAIN_NOT_PROVEN');
  });
});
