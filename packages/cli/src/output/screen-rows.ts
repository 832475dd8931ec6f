/** What the live screen shows, as rows of text. Pure: the same board gives the same rows. */
import type { Board, RelayState, TunnelRow } from '../board.ts';
import { inWords, printable } from './plain-lines.ts';

/** Where the command is on its way. */
export type Phase = 'running' | 'stopping' | 'stopped';

const LAST_ROW: Readonly<Record<Phase, string>> = {
  running: 'Ctrl-C stops',
  stopping: 'Stopping: requests under way may finish. Ctrl-C again ends at once.',
  stopped: 'Stopped.',
};

/** White on black whatever the terminal's colours are: scanners want dark modules on a light ground. */
const QR_COLOURS = '\x1b[97;40m';
const PLAIN = '\x1b[0m';

export interface ScreenView {
  readonly board: Board;
  readonly nowMs: number;
  readonly columns: number;
  readonly rows: number;
  readonly notes: readonly string[];
  /** Rows of a QR code, when one was asked for. */
  readonly qr: readonly string[];
  readonly phase: Phase;
}

export function screenRows(view: ScreenView): string[] {
  const { relayState } = view.board;
  const rows = [relayRow(view), ...(relayState.state === 'reconnecting' ? [`  ${relayState.hint}`] : []), ''];
  for (const tunnel of view.board.tunnels) rows.push(...tunnelRows(tunnel));
  for (const note of view.notes) rows.push(`  ${note}`);
  const qr =
    view.qr.length > 0 && rows.length + view.qr.length + 3 <= view.rows && (view.qr[0]?.length ?? 0) <= view.columns
      ? view.qr
      : [];
  const text = [...rows, LAST_ROW[view.phase]].map((row) => fit(printable(row), view.columns));
  // The last row of a terminal is kept free: writing there scrolls.
  const all = [...text.slice(0, -1), ...qr.map((row) => `${QR_COLOURS}${row}${PLAIN}`), ...text.slice(-1)];
  return all.length < view.rows ? all : [...all.slice(0, Math.max(1, view.rows - 2)), '…'];
}

function relayRow(view: ScreenView): string {
  return `porthole  ${view.board.relay}  ${stateText(view.board.relayState, view.nowMs)}`;
}

function stateText(relay: RelayState, nowMs: number): string {
  switch (relay.state) {
    case 'connecting':
      return 'connecting';
    case 'connected':
      return `connected${relay.rttMs === undefined ? '' : `, ${Math.round(relay.rttMs)} ms away`}`;
    case 'reconnecting':
      return `reconnecting ${inWords(Math.max(0, relay.nextTryAtMs - nowMs))}: ${relay.reason}`;
    case 'finished':
      return 'closed';
  }
}

function tunnelRows(tunnel: TunnelRow): string[] {
  const label = tunnel.label === undefined ? '' : `${tunnel.label}: `;
  const addresses = tunnel.state === 'open' ? tunnel.urls : [tunnel.state];
  const count =
    tunnel.requests === 1
      ? '1 request'
      : `${tunnel.requests} ${tunnel.protocol !== 'http' ? 'connections' : 'requests'}`;
  return [
    ...addresses.map((address) => `  ${label}${address}`),
    `    -> ${tunnel.target}    ${tunnel.requests === 1 && tunnel.protocol !== 'http' ? '1 connection' : count}`,
    '',
  ];
}

function fit(row: string, columns: number): string {
  return row.length <= columns ? row : `${row.slice(0, Math.max(0, columns - 1))}…`;
}
