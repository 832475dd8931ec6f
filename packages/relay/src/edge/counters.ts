/** What the doors count: plain numbers, read by the metrics when somebody asks. */

export interface EdgeCounters {
  /** Visitors' connections open now, HTTP and TCP. */
  visitorsOpen: number;
  visitorsTotal: number;
  /** Connections turned away because a limit was reached. */
  visitorsRefusedTotal: number;
  /** Connections that the system could not give us, mostly for want of file descriptors. */
  acceptsFailedTotal: number;
  /** Exchanges under way, waiting ones included. */
  exchangesOpen: number;
  exchangesTotal: number;
  /** Answers of the targets by first digit of the status: index 1 to 5; 0 for others. */
  answersTotal: number[];
  /** The relay's own answers by error code. */
  ownAnswersTotal: Record<string, number>;
  upgradedOpen: number;
  upgradedTotal: number;
  /** Requests and raw visitors that wait for an agent now. */
  waitingOpen: number;
  waitedTotal: number;
  /** Exchanges tried a second time because the first stream was lost before anything could have happened. */
  retriedTotal: number;
  /** Visitors who left before their answer was complete. */
  abortsTotal: number;
  /** Answers broken off because the stream was reset in the middle. */
  truncatedTotal: number;
  /** Body bytes from and to visitors, raw ones included. */
  bytesUpTotal: number;
  bytesDownTotal: number;
  rawOpen: number;
  rawTotal: number;
}

export function newEdgeCounters(): EdgeCounters {
  return {
    visitorsOpen: 0,
    visitorsTotal: 0,
    visitorsRefusedTotal: 0,
    acceptsFailedTotal: 0,
    exchangesOpen: 0,
    exchangesTotal: 0,
    answersTotal: [0, 0, 0, 0, 0, 0],
    ownAnswersTotal: {},
    upgradedOpen: 0,
    upgradedTotal: 0,
    waitingOpen: 0,
    waitedTotal: 0,
    retriedTotal: 0,
    abortsTotal: 0,
    truncatedTotal: 0,
    bytesUpTotal: 0,
    bytesDownTotal: 0,
    rawOpen: 0,
    rawTotal: 0,
  };
}

export function countOwnAnswer(counters: EdgeCounters, code: string): void {
  counters.ownAnswersTotal[code] = (counters.ownAnswersTotal[code] ?? 0) + 1;
}

export function countAnswer(counters: EdgeCounters, status: number): void {
  const digit = Math.floor(status / 100);
  const slot = digit >= 1 && digit <= 5 ? digit : 0;
  counters.answersTotal[slot] = (counters.answersTotal[slot] ?? 0) + 1;
}
