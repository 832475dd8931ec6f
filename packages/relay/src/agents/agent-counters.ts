/** What the agents' door counts: plain numbers, read by the metrics when somebody asks. */

export interface AgentCounters {
  /** Sessions now, those waiting for their agent to come back included. */
  sessionsOpen: number;
  sessionsTotal: number;
  /** Sessions without a carrier now. */
  sessionsDetached: number;
  carriersOpen: number;
  carriersTotal: number;
  /** Carriers that took up a lane of an old session. */
  resumesTotal: number;
  /** Handshakes refused, by error code. */
  refusedTotal: Record<string, number>;
  /** Sessions ended because the other end broke the protocol. */
  violationsTotal: number;
  tunnelsOpen: number;
  tunnelsTotal: number;
  /** Claims refused, by error code. */
  claimsRefusedTotal: Record<string, number>;
}

export function newAgentCounters(): AgentCounters {
  return {
    sessionsOpen: 0,
    sessionsTotal: 0,
    sessionsDetached: 0,
    carriersOpen: 0,
    carriersTotal: 0,
    resumesTotal: 0,
    refusedTotal: {},
    violationsTotal: 0,
    tunnelsOpen: 0,
    tunnelsTotal: 0,
    claimsRefusedTotal: {},
  };
}

export function countCode(into: Record<string, number>, code: string): void {
  into[code] = (into[code] ?? 0) + 1;
}
