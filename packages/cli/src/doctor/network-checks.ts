/** The steps of `porthole doctor` that need no Porthole: names, ports, certificates. */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import { connect as connectTls, getCACertificates, type TLSSocket } from 'node:tls';
import { PortholeError } from '@porthole/agent';
import { isLoopbackRelay } from '../settings/relay-url.ts';

const LIMIT_MS = 10_000;
const DAY_MS = 86_400_000;

/** The proxy that applies, without its credentials; undefined for none. */
export function proxyText(relay: URL, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const name = relay.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = env[name] ?? env[name.toLowerCase()] ?? '';
  const exempt = (env['NO_PROXY'] ?? env['no_proxy'] ?? '').toLowerCase().split(/[\s,]+/);
  const host = relay.hostname.toLowerCase();
  if (
    value === '' ||
    exempt.some(
      (entry) =>
        entry === '*' || (entry !== '' && (host === entry || host.endsWith(`.${entry.replace(/^\*?\./, '')}`))),
    )
  )
    return undefined;
  const url = URL.parse(value.includes('://') ? value : `http://${value}`);
  return url === null ? `${name} is set, but is not a URL` : `${url.protocol}//${url.host} (${name})`;
}

export async function checkDns(host: string): Promise<string> {
  // Browsers and resolvers agree that these mean this machine (RFC 6761 section 6.3), not every system library does.
  if (host === 'localhost' || host.endsWith('.localhost')) return `${host} is this machine`;
  try {
    const addresses = await lookup(host, { all: true });
    return addresses.map(({ address }) => address).join(', ');
  } catch (cause) {
    throw new PortholeError('RELAY_UNREACHABLE', `the name ${host} does not resolve`, { cause });
  }
}

export function checkTcp(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const socket = connect({ host: host.endsWith('.localhost') ? 'localhost' : host, port });
    const fail = (why: string, cause?: unknown): void => {
      socket.destroy();
      reject(new PortholeError('RELAY_UNREACHABLE', `port ${port} of ${host}: ${why}`, { cause }));
    };
    socket.setTimeout(LIMIT_MS, () => fail('no answer in 10 s'));
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message, error));
    socket.on('connect', () => {
      socket.destroy();
      resolve(`${port} is open, ${Math.round(performance.now() - started)} ms away`);
    });
  });
}

export function checkTls(host: string, port: number, ca: string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host,
      port,
      servername: host,
      ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
    });
    const fail = (why: string, cause?: unknown): void => {
      socket.destroy();
      reject(new PortholeError('RELAY_UNREACHABLE', `TLS with ${host}: ${why}`, { cause }));
    };
    socket.setTimeout(LIMIT_MS, () => fail('no answer in 10 s'));
    socket.on('error', (error) => fail(error.message, error));
    socket.on('secureConnect', () => {
      const found = certificateText(socket);
      socket.destroy();
      resolve(found);
    });
  });
}

function certificateText(socket: TLSSocket): string {
  const { valid_to: validTo, issuer } = socket.getPeerCertificate();
  const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS);
  return `valid for ${days} more days, issued by ${String(issuer?.O ?? issuer?.CN ?? 'an unnamed authority')}`;
}

export function checkPlainHttp(relay: string): Promise<string> {
  return Promise.resolve(
    isLoopbackRelay(relay)
      ? 'none, and none needed on this machine'
      : 'NONE: who listens on the way can read the token and all traffic',
  );
}
