/** What all doors for visitors share, and their time-outs. */
import type { TurnQueue } from '@porthole/protocol/node';
import type { RouteRegistry } from '../routing/registry.ts';
import type { EdgeCounters } from './counters.ts';
import type { ResponseHeads } from './sound-response.ts';
import type { Ticker } from './ticker.ts';
import type { TrustedAddresses } from './trusted-addresses.ts';
import type { VisitorLimits } from './visitor-limits.ts';

/** All in milliseconds; 0 switches one off. None of them bounds the whole of an exchange. */
export interface EdgeTimeouts {
  /** From the first byte of a request (or the connection's start) to the end of its head. */
  readonly headMs: number;
  /** How long a connection may stay open between two requests. */
  readonly keepAliveIdleMs: number;
  /** How long a visitor may neither send what he announced nor read what he asked for. */
  readonly visitorStallMs: number;
  /** How long a target may be silent when it is its turn; off by default, because event streams are silent. */
  readonly responseIdleMs: number;
  /** How long a request waits for an agent that is briefly away. */
  readonly waitMs: number;
  /** How long what a visitor still sends is read and dropped after the last answer on a connection. */
  readonly lingerMs: number;
  /** How long a target may be silent after the visitor has closed his sending side: most of them have left. */
  readonly halfCloseMs: number;
}

export const DEFAULT_TIMEOUTS: EdgeTimeouts = {
  headMs: 30_000,
  keepAliveIdleMs: 75_000,
  visitorStallMs: 600_000,
  responseIdleMs: 0,
  waitMs: 15_000,
  lingerMs: 10_000,
  halfCloseMs: 500,
};

export interface EdgeParts {
  readonly registry: RouteRegistry;
  readonly turns: TurnQueue;
  readonly heads: ResponseHeads;
  readonly ticker: Ticker;
  readonly counters: EdgeCounters;
  readonly limits: VisitorLimits;
  readonly trusted: TrustedAddresses;
  readonly timeouts: EdgeTimeouts;
  /** Something failed that should not be able to; whoever runs the doors logs it. The visitor gets INTERNAL. */
  readonly reportBug: (error: unknown) => void;
  /** A connection could not be accepted, mostly for want of file descriptors. May be called often. */
  readonly acceptFailed: (error: Error) => void;
}
