/** A public address bound to an origin, as an application holds it. */
import { EventEmitter } from 'node:events';
import type { ClaimedMessage, PortholeError } from '@porthole/protocol';
import type { Several } from './joint-tunnel.ts';
import type { OriginFailure } from './origin-failures.ts';

export interface TunnelEventMap {
  /** The address stands: the first time, and again when the relay had forgotten us (the URL may then be another). */
  opened: [info: { readonly url: string; readonly name: string }];
  /** The way to the relay is gone. The tunnel comes back by itself; requests wait meanwhile. */
  interrupted: [info: { readonly reason: PortholeError; readonly nextTryInMs: number }];
  /** The tunnel is back. `streamsKept`: what was under way goes on; otherwise it has ended with an error. */
  resumed: [info: { readonly streamsKept: boolean }];
  /**
   * The target or server failed a visitor, who was only told that it did. At once, then at most every ten seconds for the
   * same reason. Not for `fetch`, which has `onError`.
   */
  originFailed: [info: OriginFailure];
  /** Over for good, once. `reason` is undefined when this side closed it. */
  closed: [info: { readonly reason: PortholeError | undefined }];
}

/** How long requests under way may take to finish when a tunnel closes, in milliseconds. */
const DEFAULT_DRAIN_MS = 5_000;

export interface TunnelOwner {
  /** Gives the address back and lets go of what served it. */
  release(drainMs: number): Promise<void>;
}

export class Tunnel extends EventEmitter<TunnelEventMap> implements AsyncDisposable {
  readonly #owner: TunnelOwner;
  #claimed: Several<ClaimedMessage>;
  #closing: Promise<void> | undefined;
  #over = false;

  /** Made by `expose` only. */
  constructor(owner: TunnelOwner, claimed: Several<ClaimedMessage>) {
    super();
    this.#owner = owner;
    this.#claimed = claimed;
  }

  /** The public address: `https://brave-otter.tunnel.example`, or `tcp://tunnel.example:7003`. Of several the first. */
  get url(): string {
    return this.#claimed[0].url;
  }

  /** All public addresses, one for each domain asked for. */
  get urls(): readonly string[] {
    return this.#claimed.map(({ url }) => url);
  }

  /** Of the first address. */
  get name(): string {
    return this.#claimed[0].name;
  }

  /** Public port of a TCP tunnel, and of an HTTP tunnel that has one instead of a name. */
  get port(): number | undefined {
    return this.#claimed[0].port;
  }

  get closed(): boolean {
    return this.#over;
  }

  /**
   * Gives the address back. Requests under way may finish for at most `drainMs` (default 5,000). Idempotent.
   */
  close(drainMs: number = DEFAULT_DRAIN_MS): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For the agent: the address stands (again). */
  noteClaimed(claimed: Several<ClaimedMessage>): void {
    this.#claimed = claimed;
    if (!this.#over) this.emit('opened', { url: this.url, name: this.name });
  }

  /** For the agent: nothing will come back. */
  noteOver(reason: PortholeError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.emit('closed', { reason });
  }

  async #close(drainMs: number): Promise<void> {
    await this.#owner.release(drainMs);
    this.noteOver(undefined);
  }
}
