/** What the HTTPS door counts. */

export interface TlsCounters {
  acceptedTotal: number;
  handshakesTotal: number;
  /** Of those, with a session ticket. */
  resumedHandshakesTotal: number;
  failedHandshakesTotal: number;
  passedThroughTotal: number;
  challengesTotal: number;
  badHellosTotal: number;
  lateHellosTotal: number;
  badProxyHeadersTotal: number;
  /** Handshakes refused because the name is nobody's here. */
  unknownNamesTotal: number;
}

export function newTlsCounters(): TlsCounters {
  return {
    acceptedTotal: 0,
    handshakesTotal: 0,
    resumedHandshakesTotal: 0,
    failedHandshakesTotal: 0,
    passedThroughTotal: 0,
    challengesTotal: 0,
    badHellosTotal: 0,
    lateHellosTotal: 0,
    badProxyHeadersTotal: 0,
    unknownNamesTotal: 0,
  };
}
