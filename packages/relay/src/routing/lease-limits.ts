/** How many of what a route registry holds, and for how long. Each bound has a gauge of the same name. */

export interface RegistryLimits {
  /** How long an address is kept for a holder that is away. */
  readonly graceMs: number;
  /** Claims that stand, of all identities together. */
  readonly maxLeases: number;
  /** Claims that share one address. */
  readonly maxPoolSize: number;
  /** Visitors waiting for one address. */
  readonly maxWaitingPerAddress: number;
  /** Visitors waiting in all. */
  readonly maxWaiting: number;
}

export const REGISTRY_LIMITS: RegistryLimits = {
  graceMs: 60_000,
  maxLeases: 20_000,
  maxPoolSize: 64,
  maxWaitingPerAddress: 256,
  maxWaiting: 4096,
};

/** Calls back after `ms`, unless the function returned is called before. A test holds the clock by giving its own. */
export type Schedule = (callback: () => void, ms: number) => () => void;

export const schedule: Schedule = (callback, ms) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};
