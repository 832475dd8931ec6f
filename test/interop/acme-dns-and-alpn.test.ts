/** Wildcards by dns-01 through our own name server, and tls-alpn-01 on a door that peeks, from a real ACME server. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { decode, encode } from 'dns-packet';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AcmeApi } from '../../packages/acme/src/api.ts';
import { AcmeHttp } from '../../packages/acme/src/http.ts';
import { obtainCertificate } from '../../packages/acme/src/order.ts';
import { createTransport } from '../../packages/acme/src/transport.ts';
import { factsOf } from '../../packages/acme/src/certificate-check.ts';
import { Challenges } from '../../packages/relay/src/tls/challenges.ts';
import { ClientHelloReader } from '../../packages/relay/src/tls/client-hello.ts';
import { challengeRecordOf, delegationOf } from '../../packages/relay/src/tls/dns-delegation.ts';
import { DnsListener } from '../../packages/relay/src/tls/dns-listener.ts';
import { DnsResponder } from '../../packages/relay/src/tls/dns-responder.ts';
import { createKeyPair } from '../../packages/acme/src/x509.ts';
import { FakeStore } from '../contracts/store.contract-fake.ts';
import { Listener } from '../harness/listener.ts';
import { ChallengeDns, Pebble, pebbleMissing } from '../harness/pebble.ts';

async function accountAt(pebble: Pebble): Promise<AcmeApi> {
  const http = new AcmeHttp({ directoryUrl: pebble.directoryUrl, transport: createTransport({ ca: pebble.caPem }) });
  const api = new AcmeApi(http, createKeyPair().privateKey);
  await api.register({ termsOfServiceAgreed: true });
  return api;
}

describe.skipIf(pebbleMissing())('dns-01 with pebble asking our own name server', () => {
  const store = new FakeStore();
  // Two processes of a relay: what one presents, the other answers.
  const [presenting, answering] = [new Challenges({ store }), new Challenges({ store })];
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  });

  async function nameServer(zone: string): Promise<DnsListener> {
    const responder = new DnsResponder({
      zone,
      nameServers: ['ns.example'],
      txtValues: (name) => answering.txtValues(name),
    });
    const listener = new DnsListener({ responder, host: '127.0.0.1', port: 0 });
    await listener.start();
    open.push(listener);
    return listener;
  }

  /** What a recursive resolver makes of the one CNAME record an operator sets. */
  async function resolverWith(cname: { name: string; value: string }, authority: DnsListener): Promise<number> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const ask = async (name: string): Promise<ReturnType<typeof decode>['answers']> => {
      const asking = createSocket('udp4');
      asking.send(encode({ type: 'query', id: 1, questions: [{ name, type: 'TXT' }] }), authority.port, '127.0.0.1');
      const [bytes] = (await once(asking, 'message')) as [Buffer];
      asking.close();
      return decode(bytes).answers;
    };
    socket.on('message', (bytes, from) => {
      const { id, questions } = decode(bytes);
      const isOurs = questions[0]?.name.toLowerCase().replace(/\.$/, '') === cname.name && questions[0].type === 'TXT';
      void (isOurs ? ask(cname.value) : Promise.resolve([])).then((found) => {
        const answers = isOurs
          ? [{ type: 'CNAME' as const, name: cname.name, ttl: 1, data: cname.value }, ...found]
          : [];
        socket.send(encode({ type: 'response', id, flags: 1 << 7, questions, answers }), from.port, from.address);
      });
    });
    open.push({ close: () => new Promise((resolve) => socket.close(() => resolve())) });
    return socket.address().port;
  }

  async function wildcardFrom(dnsPort: number, zone: string): Promise<readonly string[]> {
    const pebble = await Pebble.start({ dnsServer: `127.0.0.1:${dnsPort}` });
    open.push(pebble);
    const solvers = [presenting.dnsSolver((name) => challengeRecordOf(zone, name))];
    const issued = await obtainCertificate(await accountAt(pebble), {
      names: ['tun.example.com', '*.tun.example.com'],
      solvers,
    });
    return factsOf(issued.chainPem).names;
  }

  it('gets name and wildcard in one order when the challenge name itself is delegated', async () => {
    const zone = '_acme-challenge.tun.example.com';
    const listener = await nameServer(zone);
    expect((await wildcardFrom(listener.port, zone)).toSorted()).toEqual(['*.tun.example.com', 'tun.example.com']);
    expect(listener.counts.answered).toBeGreaterThanOrEqual(6);
    expect(await store.list('')).toEqual([]);
  });

  it('gets them when the challenge name is a CNAME into the zone', async () => {
    const zone = 'acme.relay.example';
    const listener = await nameServer(zone);
    const dnsPort = await resolverWith(delegationOf(zone, 'tun.example.com', 'ns.example'), listener);
    expect((await wildcardFrom(dnsPort, zone)).toSorted()).toEqual(['*.tun.example.com', 'tun.example.com']);
  });

  it('says why when nobody made the record', async () => {
    const listener = await nameServer('elsewhere.example');
    await expect(wildcardFrom(listener.port, '_acme-challenge.tun.example.com')).rejects.toMatchObject({
      code: 'ACME_CHALLENGE_FAILED',
      detail: expect.stringMatching(/^(\*\.)?tun\.example\.com: dns-01: /),
    });
  });
});

describe.skipIf(pebbleMissing())('tls-alpn-01 with pebble', () => {
  const store = new FakeStore();
  const challenges = new Challenges({ store });
  let door: Listener;
  let dns: ChallengeDns;
  let pebble: Pebble;
  let api: AcmeApi;
  let validations = 0;

  function serve(socket: Socket): void {
    const reader = new ClientHelloReader();
    const look = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      const result = reader.push(chunk);
      if (result.state === 'needMore') return;
      socket.off('readable', look);
      const serverName = result.state === 'done' && result.hello.acmeChallenge ? result.hello.serverName : undefined;
      socket.unshift(reader.bytes());
      void challenges.alpnContext(serverName ?? '').then((secureContext) => {
        if (secureContext === undefined) return socket.destroy();
        validations++;
        new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['acme-tls/1'] })
          .on('error', () => undefined)
          .resume();
        return undefined;
      });
    };
    socket.on('readable', look);
  }

  beforeAll(async () => {
    door = await new Listener(createServer(serve)).listen();
    dns = await ChallengeDns.start();
    pebble = await Pebble.start({ tlsPort: door.port, dnsServer: dns.address });
    api = await accountAt(pebble);
  });
  afterAll(async () => {
    await pebble?.close();
    await dns?.close();
    await door?.close();
  });

  it('gets a certificate', async () => {
    const issued = await obtainCertificate(api, { names: ['app.customer.com'], solvers: [challenges.tlsAlpnSolver()] });
    expect(factsOf(issued.chainPem).names).toEqual(['app.customer.com']);
    expect(validations).toBeGreaterThan(0);
    expect(await challenges.alpnContext('app.customer.com')).toBeUndefined();
  });

  it('gets one for an address', async () => {
    const issued = await obtainCertificate(api, { names: ['127.0.0.1'], solvers: [challenges.tlsAlpnSolver()] });
    expect(factsOf(issued.chainPem).names).toEqual(['127.0.0.1']);
  });

  it('falls back to it when http-01 fails, with a new order', async () => {
    const issued = await obtainCertificate(api, {
      names: ['fallback.customer.com'],
      solvers: [challenges.httpSolver(), challenges.tlsAlpnSolver()],
    });
    expect(factsOf(issued.chainPem).names).toEqual(['fallback.customer.com']);
    expect(await store.list('')).toEqual([]);
  });
});
