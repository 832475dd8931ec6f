/** Opens the byte channel to the relay's port: TCP or TLS, straight or through an HTTP proxy's CONNECT. */
import { isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { PortholeError } from '@porthole/protocol';
import { readMemory, tapSecureSocket, TappedSocket } from '@porthole/protocol/node';
import { readResponseHead } from './response-head-wait.ts';
import type { ProxyRoute } from './proxy-route.ts';

export interface RelayAddress {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
}

export interface CarrierTrust {
  /** PEM; added to nothing: with it, only these authorities are trusted. */
  readonly ca?: string | undefined;
}

/** Rejects with RELAY_UNREACHABLE. `signal` is aborted when time is over or nobody wants the socket any more. */
export async function openCarrierSocket(
  relay: RelayAddress,
  proxy: ProxyRoute | undefined,
  trust: CarrierTrust,
  signal: AbortSignal,
): Promise<Socket | TLSSocket> {
  if (proxy === undefined)
    return relay.secure
      ? startTls(relay, undefined, trust, signal)
      : connected(connectPlain(relay), 'connect', shown(relay), signal);
  const way = await openCarrierSocket(proxy, undefined, trust, signal);
  await tunnelThrough(way, relay, proxy, signal);
  return relay.secure ? startTls(relay, way, trust, signal) : way;
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
  await connected(socket, 'secureConnect', shown(to), signal);
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
    throw unreachable(`the HTTP proxy ${proxy.label}: ${reasonOf(cause)}`, cause);
  });
  if (answer.status >= 200 && answer.status < 300) {
    if (answer.rest.length > 0) way.unshift(answer.rest);
    return;
  }
  way.destroy();
  const hint = answer.status === 407 ? ' (it wants a user name and password)' : '';
  throw new PortholeError(
    'RELAY_UNREACHABLE',
    `the HTTP proxy ${proxy.label} answered ${answer.status} ${answer.reason} to CONNECT ${shown(relay)}${hint}`,
  );
}

function connected<Kind extends Socket>(
  socket: Kind,
  event: 'connect' | 'secureConnect',
  where: string,
  signal: AbortSignal,
): Promise<Kind> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      socket.off(event, onOpen);
      socket.off('error', onError);
      socket.off('close', onClose);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (why: string, cause?: unknown): void => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(unreachable(`${where}: ${why}`, cause));
    };
    const onOpen = (): void => {
      settle();
      resolve(socket);
    };
    const onError = (error: Error): void => fail(reasonOf(error), error);
    const onClose = (): void => fail('closed before it was open');
    const onAbort = (): void => fail(reasonOf(signal.reason));
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

function unreachable(detail: string, cause: unknown): PortholeError {
  return new PortholeError('RELAY_UNREACHABLE', detail, { cause });
}

/** Of several addresses tried, Node puts the reasons into an AggregateError whose own message is empty. */
export function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join('; ');
  if (cause instanceof PortholeError) return cause.detail === '' ? cause.message : cause.detail;
  if (cause instanceof Error) return cause.name === 'TimeoutError' ? 'no answer in time' : cause.message;
  return String(cause);
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
  if ('code' in error && typeof error.code === 'string' && LOCAL_FAILURES.has(error.code)) return true;
  return error.cause !== undefined && reachedNobody(error.cause);
}
