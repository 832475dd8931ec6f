/** Opens the byte channel to the relay's port: TCP or TLS, straight or through an HTTP proxy's CONNECT. */
import { isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { PortholeError } from '@porthole/protocol';
import { readMemory, tapSecureSocket, TappedSocket } from '@porthole/protocol/node';
import { readResponseHead } from './response-head-wait.ts';
import type { ProxyRoute } from './proxy-route.ts';
import { isDistrust, isNoTls, systemCode, tlsFault } from './tls-fault.ts';

export interface RelayAddress {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
}

export interface CarrierTrust {
  /** PEM; added to nothing: with it, only these authorities are trusted. */
  readonly ca?: string | undefined;
}

/**
 * Rejects with RELAY_UNREACHABLE, RELAY_NOT_TLS, RELAY_NOT_TRUSTED or PROXY_FAILED. `signal` is aborted when time is over
 * or nobody wants the socket any more.
 */
export async function openCarrierSocket(
  relay: RelayAddress,
  proxy: ProxyRoute | undefined,
  trust: CarrierTrust,
  signal: AbortSignal,
): Promise<Socket | TLSSocket> {
  const toRelay = (cause: unknown): never => {
    throw relayFailure(relay, cause);
  };
  if (proxy === undefined) return openSocket(relay, trust, signal).catch(toRelay);
  const way = await openSocket(proxy, trust, signal).catch((cause: unknown) => {
    throw proxyFailure(proxy, cause);
  });
  await tunnelThrough(way, relay, proxy, signal);
  return relay.secure ? startTls(relay, way, trust, signal).catch(toRelay) : way;
}

function openSocket(to: RelayAddress, trust: CarrierTrust, signal: AbortSignal): Promise<Socket | TLSSocket> {
  return to.secure ? startTls(to, undefined, trust, signal) : connected(connectPlain(to), 'connect', signal);
}

function connectPlain(to: RelayAddress): Socket {
  return new TappedSocket(readMemory(), { noDelay: true }).connect(endpoint(to));
}

async function startTls(
  to: RelayAddress,
  over: Socket | undefined,
  trust: CarrierTrust,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const socket = connectTls({
    ...(over === undefined ? { ...endpoint(to), noDelay: true } : { socket: over }),
    ...(isIP(to.host) === 0 ? { servername: to.host } : { host: to.host }),
    ...(trust.ca === undefined ? {} : { ca: trust.ca }),
    ALPNProtocols: ['http/1.1'],
  });
  await connected(socket, 'secureConnect', signal);
  tapSecureSocket(socket, readMemory());
  return socket;
}

function endpoint(to: RelayAddress): { host: string; port: number } {
  return { host: to.host, port: to.port };
}

/** RFC 9110 section 9.3.6. */
async function tunnelThrough(way: Socket, relay: RelayAddress, proxy: ProxyRoute, signal: AbortSignal): Promise<void> {
  const authorization = proxy.credentials === undefined ? '' : `Proxy-Authorization: Basic ${proxy.credentials}\r\n`;
  way.write(`CONNECT ${shown(relay)} HTTP/1.1\r\nHost: ${shown(relay)}\r\n${authorization}\r\n`);
  const answer = await readResponseHead(way, signal).catch((cause: unknown) => {
    throw proxyFailure(proxy, cause);
  });
  if (answer.status >= 200 && answer.status < 300) {
    if (answer.rest.length > 0) way.unshift(answer.rest);
    return;
  }
  way.destroy();
  const hint = answer.status === 407 ? ' (it wants a user name and password)' : '';
  throw new PortholeError(
    // With 502 to 504 it says that it does not get there itself.
    answer.status >= 500 ? 'RELAY_UNREACHABLE' : 'PROXY_FAILED',
    `the HTTP proxy ${proxy.label} answered ${answer.status} ${answer.reason} to CONNECT ${shown(relay)}${hint}`,
  );
}

/** Rejects with what the socket failed with. */
function connected<Kind extends Socket>(
  socket: Kind,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<Kind> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      socket.off(event, onOpen);
      socket.off('error', onError);
      socket.off('close', onClose);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (cause: unknown): void => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(cause);
    };
    const onOpen = (): void => {
      settle();
      resolve(socket);
    };
    const onError = (error: Error): void => fail(error);
    const onClose = (): void => fail(new Error('closed before it was open'));
    const onAbort = (): void => fail(signal.reason);
    socket.once(event, onOpen);
    socket.once('error', onError);
    socket.once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function shown(to: RelayAddress): string {
  return to.host.includes(':') ? `[${to.host}]:${to.port}` : `${to.host}:${to.port}`;
}

function proxyFailure(proxy: ProxyRoute, cause: unknown): PortholeError {
  return new PortholeError('PROXY_FAILED', `${proxy.label}: ${reasonOf(cause)}`, { cause });
}

function relayFailure(relay: RelayAddress, cause: unknown): PortholeError {
  if (isNoTls(cause)) return new PortholeError('RELAY_NOT_TLS', shown(relay), { cause });
  const detail = `${shown(relay)}: ${reasonOf(cause)}`;
  return new PortholeError(isDistrust(cause) ? 'RELAY_NOT_TRUSTED' : 'RELAY_UNREACHABLE', detail, { cause });
}

/** Of several addresses tried, Node puts the reasons into an AggregateError whose own message is empty. */
export function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join('; ');
  if (cause instanceof PortholeError) return cause.detail === '' ? cause.message : cause.detail;
  if (!(cause instanceof Error)) return String(cause);
  return cause.name === 'TimeoutError' ? 'no answer in time' : (tlsFault(cause) ?? cause.message);
}

const LOCAL_FAILURES: ReadonlySet<string> = new Set([
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'ENOTFOUND',
]);

/** Whether a dial failed in this machine or its network, before anybody on the way to the relay was bothered. */
export function reachedNobody(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(reachedNobody);
  if (!(error instanceof Error)) return false;
  if (LOCAL_FAILURES.has(systemCode(error))) return true;
  return error.cause !== undefined && reachedNobody(error.cause);
}
