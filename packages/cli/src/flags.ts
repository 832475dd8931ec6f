/** What the command line hands to commands, by the names commander gives to the flags. */
import type { TunnelWish } from './plan.ts';
import type { RelayFlags } from './settings/relay-choice.ts';

export interface SharedFlags extends RelayFlags {
  readonly json?: boolean;
}

export interface TunnelFlags extends SharedFlags, TunnelWish {
  readonly qr?: boolean;
}
