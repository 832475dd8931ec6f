/** `porthole wait`: until tunnels of this user on this machine stand, for scripts that start an agent beside their own work. */
import { setTimeout as delay } from 'node:timers/promises';
import { PortholeError } from '@porthole/agent';
import type { SharedFlags } from '../flags.ts';
import type { StatusDocument } from '../running/status-document.ts';
import { askAll } from '../running/status-socket.ts';
import { printLines, statusFolderOf, type World } from '../world.ts';

/** Between two looks. */
const LOOK_MS = 200;
const DEFAULT_SECONDS = 60;
const MAX_SECONDS = 86_400;

export interface WaitFlags extends SharedFlags {
  readonly timeout?: string;
}

type TunnelStatus = StatusDocument['tunnels'][number];

/** `name`: of one tunnel; undefined: all that the agents of this user run. Throws USAGE, WAIT_TIMEOUT. */
export async function runWait(name: string | undefined, flags: WaitFlags, world: World): Promise<number> {
  const end = performance.now() + secondsOf(flags.timeout) * 1_000;
  for (;;) {
    const wanted = (await askAll(statusFolderOf(world))).flatMap(({ tunnels }) => tunnels).filter(isCalled(name));
    if (wanted.length > 0 && wanted.every(({ state }) => state === 'open')) {
      await printLines(world.stdout, wanted.map(flags.json === true ? asEvent : addresses));
      return 0;
    }
    if (performance.now() >= end) throw new PortholeError('WAIT_TIMEOUT', whyNot(name, wanted));
    await delay(Math.min(LOOK_MS, Math.max(0, end - performance.now())));
  }
}

/** By its name in `porthole.yml`, or its public one. */
function isCalled(name: string | undefined): (tunnel: TunnelStatus) => boolean {
  return (tunnel) => name === undefined || tunnel.tunnel === name || tunnel.name === name;
}

function addresses({ url = '', urls = [url] }: TunnelStatus): string {
  return urls.join('\n');
}

function asEvent({ state: _state, requests: _requests, ...tunnel }: TunnelStatus): string {
  return JSON.stringify({ event: 'tunnel', ...tunnel });
}

function whyNot(name: string | undefined, found: readonly TunnelStatus[]): string {
  if (found.length === 0) return name === undefined ? 'no agent of yours has one' : `there is no '${name}'`;
  return found
    .filter(({ state }) => state !== 'open')
    .map(({ tunnel, name: given, target, state }) => `${tunnel ?? given ?? target}: ${state}`)
    .join(', ');
}

function secondsOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_SECONDS;
  const seconds = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= 1 && seconds <= MAX_SECONDS) return seconds;
  throw new PortholeError('USAGE', `--timeout takes whole seconds from 1 to ${MAX_SECONDS}, not '${text}'`);
}
