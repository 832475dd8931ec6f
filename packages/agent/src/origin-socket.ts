/** Opens one socket to an origin: loopback families, unix sockets, TLS, a time limit. Waiting is `origin-dial.ts`. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions, TLSSocket } from 'node:tls';
import { PortholeError, type ErrorCode } from '@porthole/protocol';
import { type ByteReader, readMemory, ReadTap, TappedSocket } from '@porthole/protocol/node';
import { type OriginTrust, pinFailure, trustOptions } from './origin-trust.ts';
import type { OriginTarget } from './target.ts';
import { systemCode, tlsFault } from './tls-fault.ts';

export interface OriginSocket {
  readonly socket: Duplex;
  /** How it is read; undefined: by its `data` events. */
  readonly tap: ReadTap | undefined;
}

/** Whoever speaks with the origin gets its bytes from here on. See `ByteReader` for whose their memory is. */
export function readFrom({ socket, tap }: OriginSocket, reader: ByteReader): void {
  // A stream in memory passes on what it was given: whoever wrote it may hold it still, or use it again.
  if (tap === undefined) socket.on('data', (chunk: Buffer) => reader(chunk, false));
  else tap.reader = reader;
}

export type SocketOutcome = OriginSocket | PortholeError;

export interface Opening {
  /** Nobody wants the socket any more; `done` is not called. Idempotent. */
  cancel(): void;
}

/** Opens sockets to one origin. `done` is never called from within `open`. */
export interface OriginOpener {
  open(done: (outcome: SocketOutcome) => void): Opening;
}

export interface SocketSettings {
  readonly connectTimeoutMs: number;
  /** Of `https://` targets. */
  readonly trust?: OriginTrust;
  /** What is offered in TLS (ALPN). Default `http/1.1`. */
  readonly alpn?: readonly string[];
}

/** What all sockets to origins are opened with. */
interface Common {
  readonly allowHalfOpen: true;
  readonly noDelay: true;
}

type Place = { readonly path: string } | { readonly host: string; readonly port: number };

/** How long the second loopback family waits for the first when that neither answers nor refuses. */
const FAMILY_STAGGER_MS = 250;

export class NetOpener implements OriginOpener {
  readonly #target: OriginTarget;
  readonly #settings: SocketSettings;
  readonly #memory = readMemory();
  readonly #tls: ConnectionOptions;
  #preferSix = false;

  /** Throws CONFIG_INVALID. */
  constructor(target: OriginTarget, settings: SocketSettings) {
    this.#target = target;
    this.#settings = settings;
    this.#tls = {
      ...trustOptions(target, settings.trust ?? {}),
      ALPNProtocols: [...(settings.alpn ?? ['http/1.1'])],
    };
  }

  open(done: (outcome: SocketOutcome) => void): Opening {
    const race = new Race(
      this.#places(),
      (place, attempt) => this.#connect(place, attempt),
      this.#settings.connectTimeoutMs,
      (outcome, place) => {
        if (outcome instanceof PortholeError) done(outcome);
        else {
          if (place !== undefined && 'host' in place) this.#preferSix = place.host === '::1';
          done(outcome);
        }
      },
    );
    race.start();
    return race;
  }

  /** The family that worked last comes first: an origin seldom changes it. */
  #places(): Place[] {
    const { address } = this.#target;
    if (address.kind === 'unix') return [{ path: address.path }];
    if (address.kind === 'host') return [{ host: address.host, port: address.port }];
    const four = { host: '127.0.0.1', port: address.port };
    const six = { host: '::1', port: address.port };
    return this.#preferSix ? [six, four] : [four, six];
  }

  #connect(place: Place, attempt: Attempt): Duplex {
    const { secure } = this.#target;
    const where: Place & Common = { ...place, allowHalfOpen: true, noDelay: true };
    const { socket, tap } = secure ? this.#connectTls(where) : this.#connectPlain(where);
    socket.once('error', attempt.onError);
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      socket.off('error', attempt.onError);
      const failure = socket instanceof TLSSocket ? pinFailure(socket, this.#settings.trust ?? {}) : undefined;
      if (failure === undefined) attempt.onOpen({ socket, tap });
      else {
        socket.on('error', () => {}).destroy();
        attempt.onError(failure);
      }
    });
    return socket;
  }

  #connectPlain(where: Place & Common): { socket: Socket; tap: ReadTap } {
    const socket = new TappedSocket(this.#memory, where);
    socket.connect(where);
    return { socket, tap: socket.tap };
  }

  /** TLS may hand bytes over in the middle of a write, so that its sockets share no buffer. */
  #connectTls(where: Place & Common): { socket: TLSSocket; tap: ReadTap } {
    const tap = new ReadTap(this.#memory, true);
    // Node's type declarations know `onread` of plain sockets only.
    const options: ConnectionOptions = Object.assign({ onread: tap.onread }, where, this.#tls);
    const socket = connectTls(options);
    tap.bind(socket);
    return { socket, tap };
  }
}

interface Attempt {
  readonly onOpen: (opened: OriginSocket) => void;
  readonly onError: (error: Error) => void;
}

/** Tries places one after the other, the next as soon as one fails or dawdles; the first that opens wins. */
class Race implements Opening {
  readonly #places: Place[];
  readonly #connect: (place: Place, attempt: Attempt) => Duplex;
  readonly #timeoutMs: number;
  readonly #done: (outcome: SocketOutcome, place: Place | undefined) => void;
  readonly #sockets = new Set<Duplex>();
  readonly #failures: { place: Place; error: Error }[] = [];
  #next = 0;
  #over = false;
  #deadline: NodeJS.Timeout | undefined;
  #stagger: NodeJS.Timeout | undefined;

  constructor(
    places: Place[],
    connect: (place: Place, attempt: Attempt) => Duplex,
    timeoutMs: number,
    done: (outcome: SocketOutcome, place: Place | undefined) => void,
  ) {
    this.#places = places;
    this.#connect = connect;
    this.#timeoutMs = timeoutMs;
    this.#done = done;
  }

  start(): void {
    this.#deadline = setTimeout(() => {
      const where = this.#places.map(shown).join(' and ');
      this.#finish(
        new PortholeError('ORIGIN_TIMEOUT', `${where}: nothing within ${this.#timeoutMs} ms`),
        undefined,
        undefined,
      );
    }, this.#timeoutMs);
    this.#tryNext();
  }

  cancel(): void {
    if (!this.#over) this.#stop(undefined);
  }

  #tryNext(): void {
    clearTimeout(this.#stagger);
    const place = this.#places[this.#next];
    if (this.#over || place === undefined) return;
    this.#next += 1;
    const socket = this.#connect(place, {
      onOpen: (opened) => this.#finish(opened, place, opened.socket),
      onError: (error) => this.#failed(place, error),
    });
    this.#sockets.add(socket);
    if (this.#next < this.#places.length) this.#stagger = setTimeout(() => this.#tryNext(), FAMILY_STAGGER_MS);
  }

  #failed(place: Place, error: Error): void {
    if (this.#over) return;
    this.#failures.push({ place, error });
    if (this.#failures.length === this.#places.length) this.#finish(failure(this.#failures), undefined, undefined);
    else this.#tryNext();
  }

  #finish(outcome: SocketOutcome, place: Place | undefined, winner: Duplex | undefined): void {
    if (this.#over) return;
    this.#stop(winner);
    this.#done(outcome, place);
  }

  #stop(winner: Duplex | undefined): void {
    this.#over = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#stagger);
    for (const socket of this.#sockets) {
      if (socket === winner) continue;
      // A destroyed socket may still report; nobody is left to hear it.
      socket.on('error', () => {});
      socket.destroy();
    }
    this.#sockets.clear();
  }
}

function shown(place: Place): string {
  if ('path' in place) return place.path;
  return place.host.includes(':') ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`;
}

/** One error for all attempts; when they differ, the one that says most about what to do. */
function failure(failures: readonly { place: Place; error: Error }[]): PortholeError {
  const codes = failures.map(({ error }) => codeOf(error));
  const code =
    codes.find((candidate) => candidate !== 'ORIGIN_REFUSED' && candidate !== 'ORIGIN_UNREACHABLE') ??
    codes.find((candidate) => candidate === 'ORIGIN_REFUSED') ??
    'ORIGIN_UNREACHABLE';
  const detail = failures.map(({ place, error }) => `${shown(place)}: ${reasonOf(error)}`).join('; ');
  return new PortholeError(code, detail, { cause: failures[0]?.error });
}

function codeOf(error: Error): ErrorCode {
  const code = systemCode(error);
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return 'ORIGIN_REFUSED';
  if (code === 'ETIMEDOUT') return 'ORIGIN_TIMEOUT';
  if (/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_|DEPTH_|SELF_|EPROTO|HOSTNAME_|ERR_OSSL|INVALID_PURPOSE)/.test(code))
    return 'ORIGIN_TLS';
  // A plain service hangs up on a TLS greeting.
  if (/TLS|SSL|secure/i.test(error.message)) return 'ORIGIN_TLS';
  return 'ORIGIN_UNREACHABLE';
}

function reasonOf(error: Error): string {
  const code = systemCode(error);
  if (code === '') return error.message;
  return tlsFault(error) ?? (/^E[A-Z]+$/.test(code) ? code : `${code} ${error.message}`);
}
