/** What a running command has to tell, in the shape that `--json` prints, one object per line. */
import { errorRow, type ErrorCode, type PortholeError } from '@porthole/agent';

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
  | { readonly event: 'interrupted'; readonly code: ErrorCode; readonly message: string; readonly next_try_ms: number }
  | { readonly event: 'resumed'; readonly new_session: boolean }
  | {
      readonly event: 'refused';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
      readonly target: string;
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
  return { event: 'error', code: error.code, message: error.message, hint: errorRow(error.code).hint };
}
