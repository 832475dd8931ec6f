/** Runs tunnels over one link until somebody stops them or nothing is left that could come back by itself. */
import {
  errorRow,
  type ErrorCode,
  type LinkEvents,
  type OnOriginFailed,
  openJointTunnel,
  type Origin,
  OriginFailures,
  type PortholeError,
  type RelayLink,
} from '@porthole/agent';
import { Board, labelOf, type TunnelRow } from './board.ts';
import { EndToEndTunnel } from './end-to-end/end-to-end-tunnel.ts';
import { HttpInside, RawInside } from './end-to-end/inside.ts';
import { CountedOrigin } from './origins/counted-origin.ts';
import { GuardedOrigin } from './origins/guarded-origin.ts';
import { TracedOrigin } from './origins/traced-origin.ts';
import { errorEvent } from './output/events.ts';
import type { Output } from './output/output.ts';
import type { TunnelPlan } from './plan.ts';
import { statusDocument } from './running/status-document.ts';
import { serveStatus, type StatusServer } from './running/status-socket.ts';
import { FolderOrigin } from './serve/folder-origin.ts';
import type { RelayChoice } from './settings/relay-choice.ts';
import type { StopRequests } from './stop-requests.ts';

export interface TunnelRun {
  readonly plans: readonly TunnelPlan[];
  readonly choice: RelayChoice;
  readonly output: Output;
  readonly stops: StopRequests;
  readonly now: () => number;
  readonly pid: number;
  readonly uid: number | undefined;
  readonly statusFolder: string;
  /** Keys and certificates of end-to-end tunnels. */
  readonly certificateFolder: string;
  /** For http and tcp; a folder is ours. */
  readonly openOrigin: (plan: TunnelPlan, onFailed: OnOriginFailed) => Origin;
  readonly openLink: (choice: RelayChoice, events: LinkEvents) => RelayLink;
}

/** How long requests under way may take to finish once somebody asked to stop. */
const DRAIN_MS = 10_000;

type Ending =
  | { readonly why: 'asked' }
  | { readonly why: 'failed'; readonly reason: PortholeError }
  | { readonly why: 'refused'; readonly code: ErrorCode };

/** The exit code. Throws only what happens before there is a link: folders and files that cannot be read. */
export async function runTunnels(run: TunnelRun): Promise<number> {
  const board = new Board(run.choice.relay, run.now, (event, level) => run.output.event(event, level));
  const tunnels = await openOrigins(run, board);

  if (run.choice.note !== undefined) run.output.event({ event: 'note', message: run.choice.note });
  const ended = Promise.withResolvers<Ending>();
  const link = run.openLink(run.choice, {
    onConnected: (info) => board.connected(info),
    onInterrupted: (reason, nextTryInMs) => board.interrupted(reason, nextTryInMs),
    onFinished: (reason) => {
      board.finished();
      ended.resolve({ why: 'failed', reason });
    },
  });
  openTunnels(run, tunnels, board, link, (code) => ended.resolve({ why: 'refused', code }));
  const status = startStatus(run, board);
  run.output.watch(board);
  link.start();
  run.stops.taken = true;
  void run.stops.asked.then(() => ended.resolve({ why: 'asked' }));
  const ending = await ended.promise;
  const code = await finish(ending, link, run);
  status?.close();
  for (const { origin, endToEnd } of tunnels) {
    endToEnd?.close();
    origin.close();
  }
  return code;
}

interface OpenedOrigin {
  readonly row: TunnelRow;
  readonly origin: Origin;
  readonly endToEnd: EndToEndTunnel | undefined;
}

async function openOrigins(run: TunnelRun, board: Board): Promise<OpenedOrigin[]> {
  return Promise.all(
    run.plans.map(async (plan) => {
      const row = board.addTunnel({
        label: plan.label,
        protocol: plan.claims[0].protocol,
        target: plan.shownTarget,
      });
      const failures = new OriginFailures((failure) => board.originFailed(row, failure));
      const plain =
        plan.kind === 'serve' ? await FolderOrigin.open(plan.target, plan) : run.openOrigin(plan, failures.note);
      const origin = plan.basicAuth === undefined ? plain : new GuardedOrigin(plain, plan.basicAuth);
      if (plan.endToEnd === undefined) return { row, origin, endToEnd: undefined };
      const inside = plan.spoken === 'http' ? new HttpInside(origin) : new RawInside(origin);
      const endToEnd = new EndToEndTunnel(plan.endToEnd, inside, run);
      return { row, origin: endToEnd.origin, endToEnd };
    }),
  );
}

/** `onNoneLeft` is called with the last refusal once no tunnel is left; until then the others go on. */
function openTunnels(
  run: TunnelRun,
  tunnels: readonly OpenedOrigin[],
  board: Board,
  link: RelayLink,
  onNoneLeft: (code: ErrorCode) => void,
): void {
  let left = run.plans.length;
  for (const [index, plan] of run.plans.entries()) {
    const tunnel = tunnels[index];
    if (tunnel === undefined) continue;
    const { row } = tunnel;
    const told = run.choice.logLevel === 'debug' ? tracedOrigin(tunnel.origin, row, run) : tunnel.origin;
    const counted = new CountedOrigin(told, () => row.requests++);
    openJointTunnel(link, plan.claims, counted, {
      onClaimed: (claimed) => {
        const urls = claimed.map(({ url }) => url);
        board.claimed(row, claimed[0].name, urls);
        tunnel.endToEnd?.claimed(urls);
      },
      onRefused: (code, detail) => {
        board.refused(row, code, detail);
        left--;
        if (left === 0) onNoneLeft(code);
      },
    });
  }
}

/** Tells of each exchange: for those who ask for it, and nothing that others pay for. */
function tracedOrigin(origin: Origin, row: TunnelRow, { output, now }: TunnelRun): Origin {
  return new TracedOrigin(origin, now, (event) => output.event({ ...event, ...labelOf(row) }));
}

/** A tunnel that cannot be listed is still a tunnel. */
function startStatus(run: TunnelRun, board: Board): StatusServer | undefined {
  const startedAt = run.now();
  try {
    return serveStatus(run.statusFolder, run, () => statusDocument(board, run.pid, startedAt));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    run.output.event({ event: 'note', message: `porthole status will not list this agent: ${why}` });
    return undefined;
  }
}

async function finish(ending: Ending, link: RelayLink, run: TunnelRun): Promise<number> {
  switch (ending.why) {
    case 'failed':
      run.output.event(errorEvent(ending.reason));
      await link.close(0);
      return exitCodeOf(ending.reason.code);
    case 'refused':
      await link.close(0);
      return exitCodeOf(ending.code);
    case 'asked': {
      run.output.stopping();
      const drained = await Promise.race([link.close(DRAIN_MS).then(() => true), run.stops.insisted.then(() => false)]);
      run.output.event({ event: 'closed' });
      return drained ? 0 : 1;
    }
  }
}

export function exitCodeOf(code: ErrorCode): number {
  return errorRow(code).exit ?? 1;
}
