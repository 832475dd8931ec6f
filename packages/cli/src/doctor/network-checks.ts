/** The steps of `porthole doctor` that need no Porthole: names, ports, proxies, certificates, the clock. */
import { lookup } from 'node:dns/promises';
import { Agent as PlainAgent, request as requestPlain } from 'node:http';
import { Agent as TlsAgent, request as requestTls } from 'node:https';
import { connect, isIP } from 'node:net';
import { checkServerIdentity, getCACertificates, TLSSocket } from 'node:tls';
import { StepProblem } from './problems.ts';

const LIMIT_MS = 10_000;
const DAY_MS = 86_400_000;
const CLOCK_TOLERANCE_MS = 60_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy that applies to a URL, without its credentials; undefined for none. */
export function proxyFor(
  relay: URL,
  env: Environment,
): { readonly name: string; readonly url: URL | undefined } | undefined {
  const name = relay.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = env[name.toLowerCase()] ?? env[name] ?? '';
  const exempt = (env['no_proxy'] ?? env['NO_PROXY'] ?? '').toLowerCase().split(/[\s,]+/);
  const host = relay.hostname.toLowerCase();
  const isExempt = exempt.some(
    (entry) => entry === '*' || (entry !== '' && (host === entry || host.endsWith(`.${entry.replace(/^\*?\./, '')}`))),
  );
  if (value === '' || isExempt) return undefined;
  return { name, url: URL.parse(value.includes('://') ? value : `http://${value}`) ?? undefined };
}

/** Whether something listens there; what it thinks of us shows with the first request. */
export async function checkProxy(relay: URL, env: Environment): Promise<string> {
  const proxy = proxyFor(relay, env);
  if (proxy === undefined) return 'none';
  const { name, url } = proxy;
  if (url === undefined) throw new StepProblem('PROXY_UNREACHABLE', `${name} is set, but is not a URL`);
  const shown = `${url.protocol}//${url.host} (${name})`;
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  try {
    await open(url.hostname.replace(/^\[|\]$/g, ''), port);
  } catch (cause) {
    throw new StepProblem('PROXY_UNREACHABLE', `${shown}: ${reason(cause)}`, { cause });
  }
  return shown;
}

export async function checkDns(host: string): Promise<string> {
  // Browsers and resolvers agree that these mean this machine (RFC 6761 section 6.3), not every system library does.
  if (host === 'localhost' || host.endsWith('.localhost')) return `${host} is this machine`;
  if (isIP(host) !== 0) return `${host} is an address`;
  try {
    const addresses = await lookup(host, { all: true });
    return addresses.map(({ address }) => address).join(', ');
  } catch (cause) {
    throw new StepProblem('NAME_UNKNOWN', `the name ${host} does not resolve`, { cause });
  }
}

export async function checkTcp(host: string, port: number): Promise<string> {
  const started = performance.now();
  try {
    await open(host, port);
  } catch (cause) {
    const late = cause instanceof Error && cause.name === 'TimeoutError';
    throw new StepProblem(late ? 'PORT_FILTERED' : 'PORT_CLOSED', `port ${port} of ${host}: ${reason(cause)}`, {
      cause,
    });
  }
  return `${port} is open, ${Math.round(performance.now() - started)} ms away`;
}

function open(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: host.endsWith('.localhost') ? 'localhost' : host, port });
    socket.setTimeout(LIMIT_MS, () => socket.destroy(new DOMException('no answer in 10 s', 'TimeoutError')));
    socket.on('error', reject);
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}

/** What one request to the relay's own address shows. */
export interface Look {
  /** Of the answer; NaN when it does not say. */
  readonly dateMs: number;
  readonly isRelay: boolean;
  readonly status: number;
  /** Where it sends us instead; empty for nowhere. */
  readonly location: string;
  /** Undefined without TLS. */
  readonly certificate: CertificateLook | undefined;
}

interface CertificateLook {
  readonly issuer: string;
  readonly names: string;
  readonly validFromMs: number;
  readonly validToMs: number;
  readonly coversHost: boolean;
  /** Undefined when the chain leads to an authority this machine knows. */
  readonly distrust: string | undefined;
}

/** Through the proxy that applies. The certificate is looked at, not insisted on: it is a finding, not an obstacle. */
export function lookAtRelay(relay: URL, ca: string | undefined, env: Environment): Promise<Look> {
  const secure = relay.protocol === 'https:';
  const trust = ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] };
  const host = relay.hostname.replace(/^\[|\]$/g, '');
  const agentOptions = { proxyEnv: { ...env }, keepAlive: false };
  const agent = secure
    ? new TlsAgent({ ...agentOptions, ...trust, rejectUnauthorized: false })
    : new PlainAgent(agentOptions);
  const options = {
    host: host.endsWith('.localhost') ? 'localhost' : host,
    port: relay.port === '' ? undefined : relay.port,
    path: '/',
    headers: { Host: relay.host, Accept: 'application/json' },
    signal: AbortSignal.timeout(LIMIT_MS),
    agent,
  };
  return new Promise((resolve, reject) => {
    const request = secure
      ? requestTls({
          ...options,
          ...trust,
          rejectUnauthorized: false,
          ...(isIP(host) === 0 ? { servername: host } : {}),
        })
      : requestPlain(options);
    request.on('error', (cause: Error) => reject(requestProblem(relay, cause, env)));
    request.on('response', (response) => {
      const { socket, headers, statusCode = 0 } = response;
      resolve({
        dateMs: Date.parse(headers.date ?? ''),
        isRelay: headers['porthole-error'] !== undefined,
        status: statusCode,
        location: headers.location ?? '',
        certificate: socket instanceof TLSSocket ? lookAtCertificate(socket, host) : undefined,
      });
      response.resume();
      request.destroy();
    });
    request.end();
  });
}

function requestProblem(relay: URL, cause: Error, env: Environment): StepProblem {
  const code = 'code' in cause ? String(cause.code) : '';
  const where = relay.host;
  if (proxyFor(relay, env) !== undefined && (code.startsWith('ERR_PROXY') || /proxy/i.test(cause.message)))
    return new StepProblem('PROXY_REFUSES', `${where}: ${cause.message}`, { cause });
  if (code.startsWith('ERR_SSL') || code === 'EPROTO')
    return new StepProblem('TLS_FAILED', `${where}: ${cause.message}`, { cause });
  return new StepProblem('PORT_FILTERED', `${where}: ${reason(cause)}`, { cause });
}

function lookAtCertificate(socket: TLSSocket, host: string): CertificateLook {
  const certificate = socket.getPeerCertificate();
  const { issuer } = certificate;
  const error = socket.authorizationError as Error | string | null | undefined;
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error ?? '');
  const aboutOther = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'ERR_TLS_CERT_ALTNAME_INVALID'].includes(code);
  return {
    issuer: String(issuer?.O ?? issuer?.CN ?? 'an unnamed authority'),
    names: certificate.subjectaltname ?? 'no names',
    validFromMs: Date.parse(certificate.valid_from),
    validToMs: Date.parse(certificate.valid_to),
    coversHost: checkServerIdentity(host, certificate) === undefined,
    distrust: socket.authorized || aboutOther ? undefined : code,
  };
}

export function answerText(look: Look, relay: string): string {
  if (look.isRelay) return 'a relay';
  if (look.status === 407) throw new StepProblem('PROXY_REFUSES', 'the proxy wants a user and a password');
  if (look.location.startsWith('https://') && relay.startsWith('http://'))
    throw new StepProblem('USE_HTTPS', `${relay} sends everybody to ${new URL(look.location).origin}`);
  throw new StepProblem('NOT_A_RELAY', `${relay} answers ${look.status}, and not as a relay does`);
}

export function certificateText(look: Look, host: string, nowMs: number): string {
  const { certificate } = look;
  if (certificate === undefined) return 'none';
  const { issuer, validFromMs, validToMs } = certificate;
  if (certificate.distrust !== undefined)
    throw new StepProblem(
      'TLS_INTERCEPTED',
      `the certificate of ${host} is issued by ${issuer}, which this machine does not know`,
    );
  if (validToMs <= nowMs)
    throw new StepProblem(
      'CERTIFICATE_EXPIRED',
      `the certificate of ${host} expired on ${new Date(validToMs).toISOString()}`,
    );
  if (validFromMs > nowMs)
    throw new StepProblem(
      'CERTIFICATE_NOT_YET_VALID',
      `the certificate of ${host} is valid from ${new Date(validFromMs).toISOString()} on`,
    );
  if (!certificate.coversHost)
    throw new StepProblem(
      'CERTIFICATE_WRONG_NAME',
      `the certificate at ${host} is for ${certificate.names.slice(0, 200)}`,
    );
  return `valid for ${Math.floor((validToMs - nowMs) / DAY_MS)} more days, issued by ${issuer}`;
}

export function clockText(look: Look, nowMs: number): string {
  if (Number.isNaN(look.dateMs)) return 'not compared: the answer has no date';
  const aheadMs = nowMs - look.dateMs;
  if (Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) return 'agrees with the relay’s';
  const text = `${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the relay’s`;
  throw new StepProblem('CLOCK_OFF', text, { isWarning: true });
}

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === 'TimeoutError' || cause.name === 'AbortError') return 'no answer in 10 s';
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}
