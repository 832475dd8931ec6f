/** A certificate authority that is down or says no: the relay goes on with what it has, and its operator can see why. */
import { afterEach, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { FakeAcme, type Fault } from '../harness/fake-acme.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { RelayUnderTest } from '../harness/relay.ts';
import { visitSecurely } from '../harness/tls-visitor.ts';
import { until } from '../harness/until.ts';

const HOUR_S = 3_600;
const later = { 'retry-after': String(HOUR_S) };
const RATE_LIMITED = { type: 'urn:ietf:params:acme:error:rateLimited', detail: 'too many certificates' };
const TROUBLE: readonly (readonly [string, Fault, string, string])[] = [
  ['it is down', { status: 503, headers: later, raw: 'maintenance' }, 'ACME_UNREACHABLE', '503'],
  ['too much was asked of it', { status: 429, headers: later, body: RATE_LIMITED }, 'ACME_RATE_LIMITED', 'too many'],
];

interface FailedOrder {
  readonly level: string;
  readonly names: readonly string[];
  readonly code: string;
  readonly detail: string;
  readonly hint: string;
  readonly next_try: string;
}

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const part of open.splice(0).toReversed()) await part.close();
});

function opened<Part extends { close(): Promise<void> }>(part: Part): Part {
  open.push(part);
  return part;
}

describe('when the authority fails', () => {
  it.each(TROUBLE)('because %s', async (_why, fault, code, words) => {
    const authority: FakeAcme = opened(await new FakeAcme().start());
    authority.inject('newOrder', fault);
    const origin: Origin = opened(await startOrigin());
    const config = { https: '127.0.0.1:0', acme: { email: 'ops@tunnel.test', directory: authority.directoryUrl } };
    const relay = new RelayUnderTest({ domain: 'tunnel.test', config });
    await relay.start();
    opened(relay);

    const failed = await relay.program.waitForLine('the order fails', failedOrder);
    expect(failed).toMatchObject({ level: 'error', names: ['tunnel.test'], code });
    expect(failed.detail).toContain(words);
    expect(failed.hint).not.toBe('');
    expect(Date.parse(failed.next_try) - Date.now()).toBeGreaterThan((HOUR_S - 60) * 1_000);

    const status = await until('the admin address tells', async () => {
      const { certificates } = JSON.parse(await relay.admin('/api/status')) as {
        certificates: { last_error: unknown }[];
      };
      return certificates.find(({ last_error }) => last_error !== null);
    });
    expect(JSON.stringify(status)).toContain(words);
    expect(await relay.metric('porthole_certificate_failures')).toBe(1);

    // Agents and visitors do not wait for the authority.
    const agent: AgentUnderTest = await startAgent({
      relayUrl: relay.secureUrl,
      token: await relay.addToken('ada'),
      target: origin.port,
      name: 'shop',
      env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    });
    opened(agent);
    const visit = { port: relay.httpsPort ?? 0, servername: 'tunnel.test', rejectUnauthorized: false };
    expect((await visitSecurely({ ...visit, path: '/' })).status).toBe(404);
  });
});

function failedOrder(line: string): FailedOrder | undefined {
  if (!line.includes('certificate order failed')) return undefined;
  return JSON.parse(line) as FailedOrder;
}
