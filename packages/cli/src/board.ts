/** What is true just now about a running command: the relay, its tunnels, how much was asked. Screen and `status` read it. */
import {
  type ConnectedInfo,
  errorRow,
  type ErrorCode,
  type OriginFailure,
  type PortholeError,
  RepeatFold,
  type TunnelProtocol,
} from '@porthole/agent';
import type { CliEvent } from './output/events.ts';
import type { LogLevel } from './settings/config-schema.ts';

export type RelayState =
  | { readonly state: 'connecting' }
  | { readonly state: 'connected'; readonly carrier: string; readonly rttMs: number | undefined }
  | {
      readonly state: 'reconnecting';
      readonly code: ErrorCode;
      readonly reason: string;
      readonly hint: string;
      readonly nextTryAtMs: number;
    }
  | { readonly state: 'finished' };

export interface TunnelFacts {
  /** Key in the configuration file; absent for a tunnel from the command line. */
  readonly label: string | undefined;
  readonly protocol: TunnelProtocol;
  readonly target: string;
}

export interface TunnelRow extends TunnelFacts {
  name: string | undefined;
  /** One for each domain that was asked for. */
  urls: readonly string[];
  state: 'opening' | 'open' | 'refused';
  /** Exchanges and raw connections since the start. */
  requests: number;
}

/** `level` where it is not the event's own. */
export type BoardListener = (event: CliEvent, level?: LogLevel) => void;

/** A relay that is away is told of again and again, but ever more seldom. */
const OUTAGE_PAUSES = { firstMs: 10_000, growth: 2, capMs: 600_000 } as const;

export class Board {
  readonly relay: string;
  readonly tunnels: TunnelRow[] = [];
  readonly #now: () => number;
  readonly #listener: BoardListener;
  #relayState: RelayState = { state: 'connecting' };
  #everConnected = false;
  readonly #outage = new RepeatFold(OUTAGE_PAUSES);

  constructor(relay: string, now: () => number, listener: BoardListener) {
    this.relay = relay;
    this.#now = now;
    this.#listener = listener;
  }

  get relayState(): RelayState {
    return this.#relayState;
  }

  addTunnel(facts: TunnelFacts): TunnelRow {
    const row: TunnelRow = { ...facts, name: undefined, urls: [], state: 'opening', requests: 0 };
    this.tunnels.push(row);
    return row;
  }

  connected(info: ConnectedInfo): void {
    const again = this.#everConnected;
    this.#everConnected = true;
    this.#relayState = { state: 'connected', carrier: info.carrier, rttMs: info.rttMs };
    this.#outage.clear();
    this.#listener({
      event: 'connected',
      carrier: info.carrier,
      resumed: info.resumed,
      ...(info.rttMs === undefined ? {} : { rtt_ms: Math.round(info.rttMs) }),
      ...(info.relaySoftware === undefined ? {} : { relay_software: info.relaySoftware }),
    });
    if (again) this.#listener({ event: 'resumed', new_session: !info.resumed });
  }

  interrupted(reason: PortholeError, nextTryInMs: number): void {
    this.#relayState = {
      state: 'reconnecting',
      code: reason.code,
      reason: reason.message,
      hint: reason.hint,
      nextTryAtMs: this.#now() + nextTryInMs,
    };
    const { isDue, inAll } = this.#outage.note(reason);
    this.#listener(
      {
        event: 'interrupted',
        code: reason.code,
        message: reason.message,
        hint: reason.hint,
        next_try_ms: Math.round(nextTryInMs),
        tries: inAll,
      },
      isDue ? 'warn' : 'debug',
    );
  }

  originFailed(row: TunnelRow, { reason, times }: OriginFailure): void {
    const { code, message, hint } = reason;
    this.#listener({ event: 'origin_failed', code, message, hint, times, target: row.target, ...labelOf(row) });
  }

  /** Claims are made again after every lost session; only a new or changed address is news. */
  claimed(row: TunnelRow, name: string, urls: readonly string[]): void {
    const known = row.state === 'open' && row.urls.join() === urls.join();
    row.name = name;
    row.urls = urls;
    row.state = 'open';
    if (known) return;
    const { protocol, target } = row;
    this.#listener({ event: 'tunnel', name, protocol, ...shownUrls(urls), target, ...labelOf(row) });
  }

  refused(row: TunnelRow, code: ErrorCode, detail: string): void {
    row.state = 'refused';
    const { message, hint } = errorRow(code);
    this.#listener({
      event: 'refused',
      code,
      message: detail === '' ? message : `${message} (${detail})`,
      hint,
      target: row.target,
      ...labelOf(row),
    });
  }

  finished(): void {
    this.#relayState = { state: 'finished' };
  }
}

/** `urls` only where there are several. */
export function shownUrls(urls: readonly string[]): { url: string; urls?: readonly string[] } {
  const [url = ''] = urls;
  return urls.length > 1 ? { url, urls } : { url };
}

export function labelOf(row: TunnelRow): { tunnel?: string } {
  return row.label === undefined ? {} : { tunnel: row.label };
}
