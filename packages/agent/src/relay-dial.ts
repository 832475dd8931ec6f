/**
 * Dials the relay: HTTP `Upgrade: porthole`, or a WebSocket where something on the way refuses that. What worked is
 * remembered, so that a line behind such a thing does not pay for the attempt each time.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { CARRIER_PATH, PortholeError, UPGRADE_TOKEN, WEBSOCKET_PROTOCOL } from '@porthole/protocol';
import type { WebSocketLike } from '@porthole/protocol/node';
import { WebSocket } from 'ws';
import { openCarrierSocket, reasonOf, type RelayAddress } from './carrier-socket.ts';
import { proxyFor, type ProxyRoute, type ProxySettings } from './proxy-route.ts';
import { readResponseHead } from './response-head-wait.ts';

/** Largest WebSocket message taken from a relay; frames are far smaller. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 10_000;
/** An intermediary's refusal may pass: after this time the plain upgrade gets another chance. */
const MEMORY_MS = 10 * 60_000;
/** An upgrade that has worked before is doubted when it was closed without an answer more often than this in a row. */
const DOUBT_AFTER = 20;

export type DialedCarrier =
  | { readonly kind: 'upgrade'; readonly socket: Socket | TLSSocket; readonly head: Buffer }
  | { readonly kind: 'websocket'; readonly webSocket: WebSocketLike; readonly socket: Socket | TLSSocket };

export interface RelayDialOptions {
  /** `http:`, `https:`, `ws:` or `wss:`; a path is ignored. */
  readonly relay: URL;
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string | undefined;
  readonly proxy?: ProxySettings | undefined;
  /** For one whole dial, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** `User-Agent` of the dial. */
  readonly software?: string | undefined;
}

export type RelayDial = (signal?: AbortSignal) => Promise<DialedCarrier>;

/**
 * Rejects with RELAY_UNREACHABLE, RELAY_NOT_TLS, RELAY_NOT_TRUSTED, PROXY_FAILED or NOT_A_RELAY, saying what was seen.
 * Throws CONFIG_INVALID for a proxy URL without sense.
 */
export function relayDial(options: RelayDialOptions): RelayDial {
  const dialer = new RelayDialer(options);
  return (signal) => dialer.dial(signal);
}

class RelayDialer {
  readonly #relay: RelayAddress;
  readonly #authority: string;
  readonly #proxy: ProxyRoute | undefined;
  readonly #options: RelayDialOptions;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #upgradeWorked = false;
  /** Plain upgrades in a row that were closed without an answer. */
  #closedUnanswered = 0;

  constructor(options: RelayDialOptions) {
    const { relay } = options;
    const secure = relay.protocol === 'https:' || relay.protocol === 'wss:';
    this.#relay = {
      secure,
      host: relay.hostname.replace(/^\[|\]$/g, ''),
      port: relay.port === '' ? (secure ? 443 : 80) : Number(relay.port),
    };
    this.#authority = relay.host;
    this.#options = options;
    this.#proxy = proxyFor(this.#relay, options.proxy);
  }

  async dial(cancel: AbortSignal | undefined): Promise<DialedCarrier> {
    const timeout = AbortSignal.timeout(this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const signal = cancel === undefined ? timeout : AbortSignal.any([timeout, cancel]);
    if (performance.now() - this.#refusedAt < MEMORY_MS) return this.#webSocketAfter(undefined, signal);
    const socket = await this.#open(signal);
    const refusal = await this.#upgrade(socket, signal);
    return refusal instanceof Refusal ? this.#webSocketAfter(refusal, signal) : refusal;
  }

  #open(signal: AbortSignal): Promise<Socket | TLSSocket> {
    return openCarrierSocket(this.#relay, this.#proxy, { ca: this.#options.ca }, signal);
  }

  async #upgrade(socket: Socket | TLSSocket, signal: AbortSignal): Promise<DialedCarrier | Refusal> {
    socket.write(
      `GET ${CARRIER_PATH} HTTP/1.1\r\nHost: ${this.#authority}\r\nUser-Agent: ${this.#software}\r\nConnection: Upgrade\r\nUpgrade: ${UPGRADE_TOKEN}\r\n\r\n`,
    );
    try {
      const answer = await readResponseHead(socket, signal);
      this.#closedUnanswered = 0;
      if (answer.status === 101 && answer.fields.get('upgrade')?.toLowerCase() === UPGRADE_TOKEN) {
        this.#upgradeWorked = true;
        return { kind: 'upgrade', socket, head: answer.rest };
      }
      socket.on('error', () => {});
      socket.destroy();
      // A relay, or what stands before it, that has no room now: another way in would only crowd it more.
      if (answer.status === 503 && answer.fields.has('retry-after'))
        throw new PortholeError('RELAY_UNREACHABLE', `the relay is busy or about to stop (503 ${answer.reason})`);
      return new Refusal(`${answer.status} ${answer.reason}`.trim(), answer.fields.get('server'));
    } catch (error) {
      if (error instanceof PortholeError && error.code === 'RELAY_UNREACHABLE') throw error;
      if (signal.aborted) throw unreachable(error);
      this.#closedUnanswered += 1;
      // Where the upgrade has worked, this is a relay that goes down or comes up, and a second dial each time helps nobody.
      if (this.#upgradeWorked && this.#closedUnanswered <= DOUBT_AFTER) throw unreachable(error);
      return new Refusal(reasonOf(error), undefined);
    }
  }

  /** `refusal`: what the plain upgrade met, if it was tried. */
  async #webSocketAfter(refusal: Refusal | undefined, signal: AbortSignal): Promise<DialedCarrier> {
    const socket = await this.#open(signal);
    const met = await this.#webSocket(socket, signal);
    if (!(met instanceof Refusal)) {
      // Remembered from the last success, so that the plain upgrade is tried again now and then.
      if (refusal !== undefined) this.#refusedAt = performance.now();
      return met;
    }
    this.#refusedAt = Number.NEGATIVE_INFINITY;
    const seen = refusal === undefined ? met.text : `upgrade: ${refusal.text}; WebSocket: ${met.text}`;
    const server = met.server ?? refusal?.server;
    throw new PortholeError(
      'NOT_A_RELAY',
      `${this.#options.relay.origin}: ${seen}${server === undefined ? '' : ` (Server: ${server.slice(0, 80)})`}`,
    );
  }

  #webSocket(socket: Socket | TLSSocket, signal: AbortSignal): Promise<DialedCarrier | Refusal> {
    const webSocket = new WebSocket(`ws://${this.#authority}${CARRIER_PATH}`, [WEBSOCKET_PROTOCOL], {
      // The channel, TLS and all, is there already.
      createConnection: () => socket,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      followRedirects: false,
      headers: { 'User-Agent': this.#software },
    });
    // A socket that has been through a proxy's CONNECT is paused; by then somebody listens.
    setImmediate(() => socket.resume());
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        socket.destroy();
        reject(unreachable(signal.reason));
      };
      const settle = (outcome: DialedCarrier | Refusal): void => {
        signal.removeEventListener('abort', onAbort);
        webSocket.removeAllListeners();
        if (outcome instanceof Refusal) {
          webSocket.on('error', () => {});
          webSocket.terminate();
        }
        resolve(outcome);
      };
      webSocket.once('open', () => {
        // Messages wait until somebody listens for them.
        webSocket.pause();
        settle({ kind: 'websocket', webSocket, socket });
      });
      webSocket.once('unexpected-response', (_request, response) =>
        settle(new Refusal(`${response.statusCode} ${response.statusMessage}`, response.headers['server']?.toString())),
      );
      webSocket.once('error', (error) => settle(new Refusal(error.message, undefined)));
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  get #software(): string {
    return this.#options.software ?? 'porthole';
  }
}

/** What an upgrade met instead of a 101. */
class Refusal {
  readonly text: string;
  readonly server: string | undefined;

  constructor(text: string, server: string | undefined) {
    this.text = text;
    this.server = server;
  }
}

function unreachable(cause: unknown): PortholeError {
  return new PortholeError('RELAY_UNREACHABLE', reasonOf(cause), { cause });
}
