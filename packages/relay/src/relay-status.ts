/** What a relay says of itself at `/api/status`. */
import type { AgentSession } from './agents/agent-session.ts';
import { linesThatFit } from './observe/lines-that-fit.ts';
import type { RelayInsides } from './relay.ts';
import type { CertificateStatus } from './tls/certificate-keeper.ts';

/** What stands around the lines. */
const ENVELOPE_CHARS = 512;

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
  /** Those ordered from an authority, and those wanted. */
  readonly certificates: readonly CertificateLine[];
  /** How many there was no room for. */
  readonly left_out: { readonly sessions: number; readonly certificates: number };
}

interface CertificateLine {
  readonly names: readonly string[];
  readonly expires: string | null;
  readonly renews: string | null;
  readonly failures: number;
  readonly next_try: string | null;
  readonly last_error: string | null;
}

export interface RelayStatusOptions {
  readonly version: string;
  readonly uptimeSeconds: number;
  /** About how long all of it may be as JSON; sessions that do not fit are left out. Default: any length. */
  readonly maxChars?: number;
}

export function relayStatus(
  insides: RelayInsides,
  { version, uptimeSeconds, maxChars = Number.POSITIVE_INFINITY }: RelayStatusOptions,
): RelayStatus {
  const room = maxChars - ENVELOPE_CHARS;
  const certificates = linesThatFit((insides.tls?.certificates ?? []).map(certificateLine), room / 2);
  const sessions = linesThatFit([...insides.agentDoor.sessions].map(sessionStatus), room - certificates.chars);
  return {
    version,
    uptime_s: Math.round(uptimeSeconds),
    draining: insides.draining,
    sessions: sessions.fit,
    certificates: certificates.fit,
    left_out: { sessions: sessions.leftOut, certificates: certificates.leftOut },
  };
}

function certificateLine(status: CertificateStatus): CertificateLine {
  return {
    names: status.names,
    expires: isoOf(status.notAfterMs),
    renews: isoOf(status.renewAtMs),
    failures: status.failures,
    next_try: status.nextTryAtMs === 0 ? null : isoOf(status.nextTryAtMs),
    last_error: status.lastError ?? null,
  };
}

function isoOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
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
