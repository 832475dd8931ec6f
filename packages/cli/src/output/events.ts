/** What a running command has to tell, in the shape that `--json` prints, one object per line. */
import type { ErrorCode, PortholeError } from '@porthole/agent';
import type { LogLevel } from '../settings/config-schema.ts';

export type CliEvent =
  | {
      readonly event: 'tunnel';
      readonly name: string;
      readonly protocol: string;
      readonly url: string;
      /** All of them, where there are several; the first is `url`. */
      readonly urls?: readonly string[];
      readonly target: string;
      readonly tunnel?: string;
    }
  | {
      readonly event: 'connected';
      readonly carrier: string;
      /** An earlier session goes on. */
      readonly resumed: boolean;
      readonly rtt_ms?: number;
      readonly relay_software?: string;
    }
  | {
      readonly event: 'interrupted';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
      readonly next_try_ms: number;
      /** Tries in a row that ended like this one. */
      readonly tries: number;
    }
  | { readonly event: 'resumed'; readonly new_session: boolean }
  | {
      readonly event: 'refused';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
      readonly target: string;
      readonly tunnel?: string;
    }
  | {
      readonly event: 'origin_failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
      /** How often since it was told last, this time included. */
      readonly times: number;
      readonly target: string;
      readonly tunnel?: string;
    }
  | {
      /** One HTTP exchange has ended: with `status`, with `code` if it was broken off, or with both. */
      readonly event: 'exchange';
      readonly method: string;
      /** Without its query. */
      readonly path: string;
      readonly status?: number;
      readonly code?: ErrorCode;
      readonly ms: number;
      readonly tunnel?: string;
    }
  | {
      /** One raw connection of a visitor has ended; `code` if it was broken off. */
      readonly event: 'visit';
      readonly code?: ErrorCode;
      readonly ms: number;
      readonly tunnel?: string;
    }
  | { readonly event: 'note'; readonly message: string }
  | {
      /** Of an end-to-end tunnel. `seen`: what a look from outside found there. */
      readonly event: 'certificate';
      readonly name: string;
      readonly fingerprint: string;
      readonly until: string;
      readonly seen: 'same' | 'other' | 'unreachable';
    }
  | { readonly event: 'closed' }
  | { readonly event: 'error'; readonly code: ErrorCode; readonly message: string; readonly hint: string };

export function errorEvent(error: PortholeError): CliEvent {
  return { event: 'error', code: error.code, message: error.message, hint: error.hint };
}

/** How urgent an event is, by what `--log-level` calls it. An address is what the command was run for: never left out. */
export function levelOf(event: CliEvent): LogLevel {
  switch (event.event) {
    case 'tunnel':
    case 'refused':
    case 'error':
      return 'error';
    case 'interrupted':
    case 'resumed':
    case 'origin_failed':
      return 'warn';
    case 'certificate':
      return event.seen === 'other' ? 'error' : 'info';
    case 'note':
    case 'closed':
      return 'info';
    case 'connected':
    case 'exchange':
    case 'visit':
      return 'debug';
  }
}
