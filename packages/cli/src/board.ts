/** What is true just now about a running command: the relay, its tunnels, how much was asked. Screen and `status` read it. */
import { errorRow, type ErrorCode, type PortholeError, type TunnelProtocol } from '@porthole/agent';
import type { CliEvent } from './output/events.ts';

export type RelayState =
  | { readonly state: 'connecting' }
  | { readonly state: 'connected'; readonly carrier: string; readonly rttMs: number | undefined }
  | { readonly state: 'reconnecting'; readonly code: ErrorCode; readonly reason: string; readonly nextTryAtMs: number }
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

export type BoardListener = (event: CliEvent) => void;

export class Board {
  readonly relay: string;
  readonly tunnels: TunnelRow[] = [];
  readonly #now: () => number;
  readonly #listener: BoardListener;
  #relayState: RelayState = { state: 'connecting' };
  #everConnected = false;

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

  connected(info: { readonly resumed: boolean; readonly carrier: string; readonly rttMs: number | undefined }): void {
    const again = this.#everConnected;
    this.#everConnected = true;
    this.#relayState = { state: 'connected', carrier: info.carrier, rttMs: info.rttMs };
    if (again) this.#listener({ event: 'resumed', new_session: !info.resumed });
  }

  interrupted(reason: PortholeError, nextTryInMs: number): void {
    this.#relayState = {
      state: 'reconnecting',
      code: reason.code,
      reason: reason.message,
      nextTryAtMs: this.#now() + nextTryInMs,
    };
    this.#listener({
      event: 'interrupted',
      code: reason.code,
      message: reason.message,
      next_try_ms: Math.round(nextTryInMs),
    });
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

function labelOf(row: TunnelRow): { tunnel?: string } {
  return row.label === undefined ? {} : { tunnel: row.label };
}
