/** Clock and limits of the machine. */
import type { RelayConfig } from '../../config/config.ts';
import type { Machine } from './machine.ts';
import { type Finding, ok, problem, skipped } from './problems.ts';

const TOLERANCE_MS = 60_000;
const LIMIT_MS = 5000;
/** Listeners, the store, the log, and some air. */
const OTHER_FILES = 100;

/** Compares with the `Date` field of an answer from elsewhere. */
export async function lookAtClock(url: string | undefined, machine: Machine): Promise<Finding> {
  if (url === undefined) return skipped('clock: give --clock-url an address (any web server) to compare it with');
  let date: number;
  try {
    const answer = await fetch(url, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(LIMIT_MS) });
    date = Date.parse(answer.headers.get('date') ?? '');
  } catch {
    return problem('CLOCK_UNKNOWN', `${url} did not answer`);
  }
  if (Number.isNaN(date)) return problem('CLOCK_UNKNOWN', `${url} did not say what time it is`);
  const aheadMs = machine.now() - date;
  if (Math.abs(aheadMs) <= TOLERANCE_MS) return ok(`the clock agrees with ${url}`);
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return problem('CLOCK_OFF', `it is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} that of ${url}`);
}

/** A visitor is one file, and so is each carrier of a session. */
export function lookAtFileLimit({ limits }: RelayConfig, machine: Machine): Finding {
  const wanted = limits.maxVisitors + limits.maxSessions + OTHER_FILES;
  const allowed = machine.openFiles();
  if (allowed === undefined) return skipped('open files: this system does not say how many there may be');
  return allowed >= wanted
    ? ok(`${allowed} files may be open`)
    : problem('FILE_LIMIT_LOW', `${allowed} files may be open here, ${wanted} are wanted for the limits configured`);
}
