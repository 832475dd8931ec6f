/** Certificates by http-01 from a real ACME server that refuses nonces, and what happens when a validation fails. */
import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AcmeApi } from '../../packages/acme/src/api.ts';
import { AcmeHttp } from '../../packages/acme/src/http.ts';
import { obtainCertificate } from '../../packages/acme/src/order.ts';
import { createTransport } from '../../packages/acme/src/transport.ts';
import { factsOf } from '../../packages/acme/src/certificate-check.ts';
import { Challenges } from '../../packages/relay/src/tls/challenges.ts';
import { createKeyPair } from '../../packages/acme/src/x509.ts';
import { FakeStore } from '../contracts/store.contract-fake.ts';
import { Listener } from '../harness/listener.ts';
import { ChallengeDns, Pebble, pebbleMissing } from '../harness/pebble.ts';

describe.skipIf(pebbleMissing())('http-01 with pebble', () => {
  const store = new FakeStore();
  const challenges = new Challenges({ store });
  let port80: Listener;
  let dns: ChallengeDns;
  let pebble: Pebble;
  let api: AcmeApi;
  let answer: (path: string) => Promise<string | undefined> = (path) => challenges.httpAnswer(path);

  beforeAll(async () => {
    port80 = await new Listener(
      createServer((request, response) => {
        void answer(request.url ?? '').then((body) => {
          response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/octet-stream' }).end(body);
        });
      }),
    ).listen();
    dns = await ChallengeDns.start();
    pebble = await Pebble.start({
      httpPort: port80.port,
      dnsServer: dns.address,
      nonceRejectPercent: 30,
      validitySeconds: 3600,
      env: { PEBBLE_ALTERNATE_ROOTS: '2' },
    });
    const http = new AcmeHttp({ directoryUrl: pebble.directoryUrl, transport: createTransport({ ca: pebble.caPem }) });
    api = new AcmeApi(http, createKeyPair().privateKey);
    await api.register({ emails: ['operator@example.com'], termsOfServiceAgreed: true });
  });

  afterAll(async () => {
    await pebble?.close();
    await dns?.close();
    await port80?.close();
  });

  const solvers = () => [challenges.httpSolver()];

  it('gets a certificate for two names, though nonces are refused, and leaves nothing in the store', async () => {
    const issued = await obtainCertificate(api, { names: ['a.example.com', 'B.example.com.'], solvers: solvers() });
    expect(factsOf(issued.chainPem).names).toEqual(['a.example.com', 'b.example.com']);
    expect(issued.notAfterMs - issued.notBeforeMs).toBeLessThanOrEqual(3_600_000);
    expect(await store.list('')).toEqual([]);
    expect(port80.accepted).toBeGreaterThan(0);
  });

  it('finds the same account again by its key', async () => {
    const again = new AcmeApi(api.http, api.accountKey);
    expect(await again.register({ termsOfServiceAgreed: true })).toBe(api.accountUrl);
  });

  it('takes the chain that ends at the root asked for', async () => {
    const wanted = new X509Certificate(await pebble.root(1)).subject.replace('CN=', '');
    const issued = await obtainCertificate(api, {
      names: ['chain.example.com'],
      solvers: solvers(),
      preferredChain: wanted,
    });
    const last = issued.chainPem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g)?.at(-1) ?? '';
    expect(new X509Certificate(last).issuer).toBe(`CN=${wanted}`);
  });

  it('revokes', async () => {
    const issued = await obtainCertificate(api, { names: ['revoked.example.com'], solvers: solvers() });
    const { leaf } = factsOf(issued.chainPem);
    expect(await pebble.revocationStatus(leaf.serialNumber)).toBe('Valid');
    await api.revoke(leaf, 'superseded');
    expect(await pebble.revocationStatus(leaf.serialNumber)).toBe('Revoked');
  });

  it('says why when the answer is wrong, and leaves nothing in the store', async () => {
    answer = async () => 'not the key authorisation';
    const failure = await obtainCertificate(api, { names: ['wrong.example.com'], solvers: solvers() }).catch(
      (error: unknown) => error,
    );
    answer = (path) => challenges.httpAnswer(path);
    expect(failure).toMatchObject({
      code: 'ACME_CHALLENGE_FAILED',
      detail: expect.stringMatching(/wrong\.example\.com: http-01: .*unauthorized/),
    });
    expect(await store.list('')).toEqual([]);
  });

  it('says why when the name leads elsewhere', async () => {
    await dns.setA('elsewhere.example.com', ['127.0.0.99']);
    const failure = await obtainCertificate(api, { names: ['elsewhere.example.com'], solvers: solvers() }).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: 'ACME_CHALLENGE_FAILED', detail: expect.stringContaining('connection') });
  });

  it('does not order what it cannot prove', async () => {
    await expect(obtainCertificate(api, { names: ['*.example.com'], solvers: solvers() })).rejects.toMatchObject({
      code: 'ACME_CHALLENGE_FAILED',
      detail: expect.stringContaining('dns-01'),
    });
  });

  it('stops at once when it is cancelled, and when its time is over', async () => {
    const stop = new AbortController();
    answer = () => {
      stop.abort();
      return new Promise(() => undefined);
    };
    await expect(
      obtainCertificate(api, { names: ['c.example.com'], solvers: solvers(), signal: stop.signal }),
    ).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(
      obtainCertificate(api, { names: ['t.example.com'], solvers: solvers(), timeoutMs: 300 }),
    ).rejects.toMatchObject({ code: 'CERTIFICATE_TIMEOUT' });
    answer = (path) => challenges.httpAnswer(path);
    expect(await store.list('')).toEqual([]);
  });

  it('changes the key of the account, and ends it', async () => {
    const own = new AcmeApi(api.http, createKeyPair().privateKey);
    const url = await own.register({ termsOfServiceAgreed: true });
    const { privateKey } = createKeyPair();
    await own.changeKey(privateKey);
    expect(await new AcmeApi(api.http, privateKey).register({ termsOfServiceAgreed: true })).toBe(url);
    await obtainCertificate(own, { names: ['rolled.example.com'], solvers: solvers() });
    await own.deactivateAccount();
    await expect(
      new AcmeApi(api.http, privateKey, url).newOrder({ identifiers: [{ type: 'dns', value: 'x.example.com' }] }),
    ).rejects.toMatchObject({ code: 'ACME_REFUSED' });
  });
});

describe.skipIf(pebbleMissing())('an authority that wants an external account', () => {
  const hmacKey = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W';
  let dns: ChallengeDns;
  let pebble: Pebble;
  beforeAll(async () => {
    dns = await ChallengeDns.start();
    pebble = await Pebble.start({ dnsServer: dns.address, externalAccounts: { 'kid-1': hmacKey } });
  });
  afterAll(async () => {
    await pebble?.close();
    await dns?.close();
  });
  const api = () =>
    new AcmeApi(
      new AcmeHttp({ directoryUrl: pebble.directoryUrl, transport: createTransport({ ca: pebble.caPem }) }),
      createKeyPair().privateKey,
    );

  it('takes a binding with the right key', async () => {
    expect(await api().register({ termsOfServiceAgreed: true, externalAccount: { kid: 'kid-1', hmacKey } })).toContain(
      '/my-account/',
    );
  });
  it('refuses others, and the error says what is missing', async () => {
    await expect(api().register({ termsOfServiceAgreed: true })).rejects.toMatchObject({
      code: 'ACME_REFUSED',
      problem: 'externalAccountRequired',
    });
    await expect(
      api().register({ termsOfServiceAgreed: true, externalAccount: { kid: 'kid-2', hmacKey } }),
    ).rejects.toMatchObject({ code: 'ACME_REFUSED' });
  });
  it('is not believed without its certificate authority', async () => {
    const stranger = new AcmeHttp({
      directoryUrl: pebble.directoryUrl,
      transport: createTransport(),
      sleep: async () => undefined,
    });
    await expect(stranger.directory()).rejects.toMatchObject({
      code: 'ACME_UNREACHABLE',
      detail: expect.stringMatching(/certificate/),
    });
  });
});
