/** The whole of it over a real store: what is wanted is ordered from pebble, served by SNI, and renewed in time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer as createTlsServer, type PeerCertificate } from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SqliteStore } from '../../packages/relay/src/store/sqlite-store.ts';
import { createTransport } from '../../packages/acme/src/transport.ts';
import { AcmeAccount } from '../../packages/relay/src/tls/acme-account.ts';
import { CertificateBudget } from '../../packages/relay/src/tls/certificate-budget.ts';
import { CertificateIndex } from '../../packages/relay/src/tls/certificate-index.ts';
import { CertificateKeeper } from '../../packages/relay/src/tls/certificate-keeper.ts';
import type { CertificateEvent } from '../../packages/relay/src/tls/certificate-order.ts';
import { CertificateStore } from '../../packages/relay/src/tls/certificate-store.ts';
import { Challenges } from '../../packages/relay/src/tls/challenges.ts';
import { Listener } from '../harness/listener.ts';
import { ChallengeDns, Pebble, pebbleMissing } from '../harness/pebble.ts';
import { until } from '../harness/until.ts';

const hourMs = 3_600_000;

/** One of several processes of a relay that share a data folder. */
function openProcess(file: string, pebble: Pebble, clock: () => number) {
  const store = SqliteStore.open(file, { pollMs: 20 });
  const index = new CertificateIndex();
  const challenges = new Challenges({ store });
  const events: CertificateEvent[] = [];
  const keeper = new CertificateKeeper({
    store,
    index,
    certificates: new CertificateStore(store),
    account: new AcmeAccount({
      store,
      directoryUrl: pebble.directoryUrl,
      request: { termsOfServiceAgreed: true },
      transport: createTransport({ ca: pebble.caPem }),
    }),
    solvers: [challenges.httpSolver()],
    budget: new CertificateBudget({ store, now: clock }),
    permit: async (name) => (name === 'app.customer.com' ? 'customer' : undefined),
    holder: `process ${Math.random()}`,
    now: clock,
    onEvent: (event) => events.push(event),
  });
  return { store, index, challenges, keeper, events };
}

describe.skipIf(pebbleMissing())('CertificateKeeper with pebble, two processes and one store', () => {
  const folder = mkdtempSync(join(tmpdir(), 'porthole-keeper-'));
  const file = join(folder, 'store.db');
  let ahead = 0;
  const clock = (): number => Date.now() + ahead;
  let port80: Listener;
  let dns: ChallengeDns;
  let pebble: Pebble;
  let one: ReturnType<typeof openProcess>;
  let two: ReturnType<typeof openProcess>;
  let door: Listener;

  beforeAll(async () => {
    // Port 80 belongs to the second process, the orders to the first.
    port80 = await new Listener(
      createHttpServer((request, response) => {
        void two.challenges
          .httpAnswer(request.url ?? '')
          .then((body) => response.writeHead(body === undefined ? 404 : 200).end(body));
      }),
    ).listen();
    dns = await ChallengeDns.start();
    pebble = await Pebble.start({
      httpPort: port80.port,
      dnsServer: dns.address,
      validitySeconds: 6 * 3600,
      nonceRejectPercent: 20,
    });
    one = openProcess(file, pebble, clock);
    two = openProcess(file, pebble, clock);
    await one.keeper.follow();
    await two.keeper.follow();
    door = await new Listener(
      createTlsServer({
        SNICallback: (name, done) => {
          void two.keeper.request(name).then(() => done(null, two.index.choose(name)));
        },
      }).on('tlsClientError', () => undefined),
    ).listen();
  });

  afterAll(async () => {
    await door?.close();
    await one?.keeper.close();
    await two?.keeper.close();
    await one?.store.close();
    await two?.store.close();
    await pebble?.close();
    await dns?.close();
    await port80?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function visit(servername: string): Promise<PeerCertificate> {
    const socket = connect({ port: door.port, host: '127.0.0.1', servername, ca: await pebble.root() });
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerCertificate();
    socket.destroy();
    return certificate;
  }

  it('orders what is wanted in one process and serves it in the other', async () => {
    one.keeper.want({ names: ['relay.example.com'] });
    two.keeper.want({ names: ['relay.example.com'] });
    await Promise.all([one.keeper.check(), two.keeper.check()]);
    expect([...one.events, ...two.events].map(({ type }) => type)).toEqual(['issued']);
    await until('the other process knows', () => two.index.find('relay.example.com'));
    expect((await visit('relay.example.com')).subjectaltname).toBe('DNS:relay.example.com');
  });

  it('orders on the first visit of a proven name, and for no other', async () => {
    expect((await visit('app.customer.com')).subjectaltname).toBe('DNS:app.customer.com');
    await expect(visit('evil.example.com')).rejects.toMatchObject({ code: expect.stringMatching(/^E/) });
    expect(await two.keeper.request('evil.example.com')).toBe(false);
  });

  it('renews with a new key when a third of life is left', async () => {
    const before = await visit('relay.example.com');
    ahead = 4 * hourMs;
    await one.keeper.check();
    ahead = 0;
    expect(one.events.at(-1)).toMatchObject({ type: 'issued', isRenewal: true });
    await until(
      'the other process serves the new one',
      async () => (await visit('relay.example.com')).serialNumber !== before.serialNumber,
    );
    expect((await visit('relay.example.com')).pubkey?.equals(before.pubkey ?? Buffer.alloc(0))).toBe(false);
  });

  it('survives a restart: account and certificates are found again', async () => {
    const again = openProcess(file, pebble, clock);
    await again.keeper.follow();
    expect(again.index.size).toBe(2);
    await again.keeper.check();
    expect(again.events).toEqual([]);
    expect((await again.store.list('tls/account/')).length).toBe(1);
    await again.keeper.close();
    await again.store.close();
  });
});
