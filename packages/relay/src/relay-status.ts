/** What a relay says of itself at `/api/status`. */
import type { AgentSession } from './agents/agent-session.ts';
import type { RelayInsides } from './relay.ts';

interface SessionStatus {
  /** The first characters of its id; the whole of it would be half a secret. */
  readonly id: string;
  readonly identity: string;
  readonly token_id: string | null;
  readonly since: string;
  /** `ready`, or `away`: within the grace time. */
  readonly state: 'ready' | 'away';
  readonly carriers: readonly string[];
  readonly address: string | null;
  readonly rtt_ms: number | null;
  readonly streams: number;
  readonly unacknowledged_bytes: number;
  readonly tunnels: readonly TunnelStatus[];
}

interface TunnelStatus {
  readonly protocol: string;
  readonly name: string;
  readonly url: string;
  readonly state: 'ready' | 'away';
}

export interface RelayStatus {
  readonly version: string;
  readonly uptime_s: number;
  readonly draining: boolean;
  readonly sessions: readonly SessionStatus[];
}

export function relayStatus(insides: RelayInsides, version: string, uptimeSeconds: number): RelayStatus {
  return {
    version,
    uptime_s: Math.round(uptimeSeconds),
    draining: insides.draining,
    sessions: [...insides.agentDoor.sessions].map(sessionStatus),
  };
}

function sessionStatus(session: AgentSession): SessionStatus {
  const state = session.attached ? 'ready' : 'away';
  return {
    id: session.id.slice(0, 8),
    identity: session.who.identity,
    token_id: session.who.tokenId ?? null,
    since: session.since,
    state,
    carriers: session.carrierKinds,
    address: session.remoteAddress ?? null,
    rtt_ms: session.minRttMs ?? null,
    streams: session.session.streamCount,
    unacknowledged_bytes: session.session.unackedBytes,
    tunnels: session.tunnels.list.map(({ protocol, name, url }) => ({ protocol, name, url, state })),
  };
}
