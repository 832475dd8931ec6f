/** Names the numbers that the parts of a relay keep, for `/metrics`. */
import type { AgentSession } from './agents/agent-session.ts';
import type { LogOutput } from './observe/log.ts';
import type { Reading } from './observe/metric-family.ts';
import { type MetricRow, Metrics } from './observe/metrics.ts';
import { addProcessMetrics } from './observe/process-metrics.ts';
import type { RelayInsides } from './relay.ts';
import type { RegistrySizes } from './routing/route-table.ts';
import { tlsRows } from './tls-metrics.ts';

/** `insides` is asked at every scrape; undefined while there is no relay yet. */
export function relayMetrics(insides: () => RelayInsides | undefined, version: string): Metrics {
  const metrics = new Metrics();
  metrics.gauge({
    name: 'porthole_build_info',
    help: 'Always 1; the label has the version.',
    label: 'version',
    across: 'max',
    read: () => ({ [version]: 1 }),
  });
  const from = (pick: (of: RelayInsides) => Reading) => (): Reading => {
    const of = insides();
    return of === undefined ? {} : pick(of);
  };
  metrics.add([
    ...agentRows(from),
    ...visitorRows(from),
    ...routeRows(() => insides()?.registry.sizes),
    drainRow(() => insides()?.draining === true),
    ...tlsRows(() => insides()?.tls),
  ]);
  addProcessMetrics(metrics);
  return metrics;
}

type From = (pick: (of: RelayInsides) => Reading) => () => Reading;

function agentRows(from: From): MetricRow[] {
  const sum = (read: (session: AgentSession) => number) =>
    from(({ agentDoor }) => {
      let total = 0;
      for (const session of agentDoor.sessions) total += read(session);
      return total;
    });
  return [
    [
      'porthole_sessions',
      'Sessions of agents, those whose agent is away included.',
      from(({ agents }) => agents.sessionsOpen),
    ],
    [
      'porthole_sessions_away',
      'Sessions whose agent is away, within the grace time.',
      from(({ agents }) => agents.sessionsDetached),
    ],
    ['porthole_sessions_total', 'Sessions opened.', from(({ agents }) => agents.sessionsTotal)],
    ['porthole_carriers', 'Carriers open.', from(({ agents }) => agents.carriersOpen)],
    ['porthole_carriers_total', 'Carriers opened.', from(({ agents }) => agents.carriersTotal)],
    ['porthole_resumes_total', 'Lanes taken up again on a new carrier.', from(({ agents }) => agents.resumesTotal)],
    [
      'porthole_agents_refused_total',
      'Agents refused or sent away, by error code.',
      from(({ agents }) => agents.refusedTotal),
      'code',
    ],
    [
      'porthole_protocol_violations_total',
      'Sessions ended because the agent broke the protocol.',
      from(({ agents }) => agents.violationsTotal),
    ],
    ['porthole_tunnels', 'Tunnels open.', from(({ agents }) => agents.tunnelsOpen)],
    ['porthole_tunnels_total', 'Tunnels opened.', from(({ agents }) => agents.tunnelsTotal)],
    [
      'porthole_claims_refused_total',
      'Tunnels refused, by error code.',
      from(({ agents }) => agents.claimsRefusedTotal),
      'code',
    ],
    ['porthole_streams', 'Streams open in all sessions.', sum(({ session }) => session.streamCount)],
    [
      'porthole_unacknowledged_bytes',
      'Bytes sent to agents and kept until they are acknowledged.',
      sum(({ session }) => session.unackedBytes),
    ],
    [
      'porthole_buffered_bytes',
      'Bytes that wait in streams to be sent or taken.',
      sum(({ session }) => session.bufferedBytes),
    ],
  ];
}

function visitorRows(from: From): MetricRow[] {
  return [
    ['porthole_visitors', 'Visitors’ connections open, HTTP and TCP.', from(({ edge }) => edge.visitorsOpen)],
    ['porthole_visitors_total', 'Visitors’ connections accepted.', from(({ edge }) => edge.visitorsTotal)],
    [
      'porthole_visitors_refused_total',
      'Visitors’ connections closed because of a limit.',
      from(({ edge }) => edge.visitorsRefusedTotal),
    ],
    [
      'porthole_accepts_failed_total',
      'Connections that could not be accepted, mostly for want of file descriptors.',
      from(({ edge }) => edge.acceptsFailedTotal),
    ],
    ['porthole_exchanges', 'Exchanges under way.', from(({ edge }) => edge.exchangesOpen)],
    ['porthole_exchanges_total', 'Exchanges begun.', from(({ edge }) => edge.exchangesTotal)],
    [
      'porthole_answers_total',
      'Answers of origins, by class of status.',
      from(({ edge }) => byClass(edge.answersTotal)),
      'class',
    ],
    [
      'porthole_own_answers_total',
      'Answers of the relay itself, by error code.',
      from(({ edge }) => edge.ownAnswersTotal),
      'code',
    ],
    ['porthole_upgrades', 'Upgraded connections (WebSocket and others) open.', from(({ edge }) => edge.upgradedOpen)],
    ['porthole_upgrades_total', 'Connections upgraded.', from(({ edge }) => edge.upgradedTotal)],
    ['porthole_tcp_visitors', 'Connections of TCP tunnels open.', from(({ edge }) => edge.rawOpen)],
    ['porthole_tcp_visitors_total', 'Connections of TCP tunnels accepted.', from(({ edge }) => edge.rawTotal)],
    ['porthole_waiting', 'Visitors that wait for an agent.', from(({ edge }) => edge.waitingOpen)],
    ['porthole_waits_total', 'Visitors that had to wait for an agent.', from(({ edge }) => edge.waitedTotal)],
    [
      'porthole_retries_total',
      'Exchanges begun anew because the first stream was lost untouched.',
      from(({ edge }) => edge.retriedTotal),
    ],
    ['porthole_aborts_total', 'Exchanges given up by the visitor.', from(({ edge }) => edge.abortsTotal)],
    ['porthole_truncated_total', 'Answers broken off in the middle.', from(({ edge }) => edge.truncatedTotal)],
    ['porthole_visitor_received_bytes_total', 'Body bytes from visitors.', from(({ edge }) => edge.bytesUpTotal)],
    ['porthole_visitor_sent_bytes_total', 'Body bytes to visitors.', from(({ edge }) => edge.bytesDownTotal)],
    [
      'porthole_waits_refused_total',
      'Visitors not let wait because too many did.',
      from(({ registry }) => registry.sizes.waitsRefused),
    ],
  ];
}

/** What the registry knows that grants the leases: the relay's own, or that of the supervisor. */
export function routeRows(sizes: () => RegistrySizes | undefined): MetricRow[] {
  const from = (pick: (of: RegistrySizes) => Reading) => (): Reading => {
    const of = sizes();
    return of === undefined ? {} : pick(of);
  };
  return [
    [
      'porthole_routes',
      'Public addresses held, by kind.',
      from(({ hosts, ports }) => ({ host: hosts, port: ports })),
      'kind',
    ],
    ['porthole_leases', 'Claims that stand.', from(({ leases }) => leases)],
    ['porthole_leases_away', 'Claims whose agent is away.', from(({ away }) => away)],
  ];
}

/** Of the process. */
export function droppedLinesRow({ logOutput }: { readonly logOutput: LogOutput }): MetricRow {
  return ['porthole_log_lines_dropped_total', 'Log lines nobody read in time.', () => logOutput.dropped];
}

export function drainRow(isDraining: () => boolean): MetricRow {
  return ['porthole_draining', '1 while the relay is about to stop.', () => (isDraining() ? 1 : 0)];
}

function byClass(answers: readonly number[]): Record<string, number> {
  return Object.fromEntries(answers.map((count, digit) => [digit === 0 ? 'other' : `${digit}xx`, count]));
}
