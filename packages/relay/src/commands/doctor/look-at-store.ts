/** The data folder: can it be used, by whom, is there room, is there a token. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PortholeError } from '@porthole/protocol';
import { TokenRegistry } from '../../access/token-registry.ts';
import type { RelayConfig } from '../../config/config.ts';
import { openStore } from '../../store/open-store.ts';
import type { Store } from '../../store/store.ts';
import type { Machine } from './machine.ts';
import { type Finding, ok, problem } from './problems.ts';

const LAST_RUN = 'doctor/last-run';
const CLOCK_TOLERANCE_MS = 60_000;
const MIN_FREE_BYTES = 100 * 1024 * 1024;

export async function lookAtStore(config: RelayConfig, machine: Machine): Promise<Finding[]> {
  let store: Store;
  try {
    store = openStore(config.dataDir);
  } catch (error) {
    return [storeProblem(error)];
  }
  try {
    const findings = [...(await lookInside(store, config, machine)), ...lookAtOwners(config.dataDir)];
    return [...findings, await lookAtSpace(config.dataDir, machine)];
  } catch (error) {
    return [storeProblem(error)];
  } finally {
    await store.close();
  }
}

async function lookInside(store: Store, config: RelayConfig, machine: Machine): Promise<Finding[]> {
  const findings: Finding[] = [];
  const last = await store.get(LAST_RUN);
  const lastMs = typeof last?.value === 'string' ? Date.parse(last.value) : Number.NaN;
  if (lastMs - machine.now() > CLOCK_TOLERANCE_MS)
    findings.push(
      problem('CLOCK_OFF', `the doctor was here at ${new Date(lastMs).toISOString()}, which is still to come`),
    );
  else await store.put(LAST_RUN, new Date(machine.now()).toISOString());
  findings.push(ok(`the store in ${config.dataDir} can be read and written`));
  const tokens = (await new TokenRegistry(store).list()).filter((token) => token.revokedAt === undefined);
  if (config.open) findings.push(ok('agents need no token (`open`)'));
  else if (tokens.length === 0) findings.push(problem('NO_TOKEN', `none is valid in ${config.dataDir}`));
  else findings.push(ok(`${tokens.length} valid ${tokens.length === 1 ? 'token' : 'tokens'}`));
  return findings;
}

function storeProblem(error: unknown): Finding {
  const text = error instanceof PortholeError ? error.detail : String(error);
  if (/newer release/.test(text)) return problem('STORE_FROM_NEWER', text);
  if (/damaged|not a Porthole store/.test(text)) return problem('STORE_DAMAGED', text);
  if (/disk is full/.test(text)) return problem('DISK_NEARLY_FULL', text);
  return problem('DATA_UNUSABLE', text);
}

/** Root may use everything, and leaves files behind that the relay's user may not. */
function lookAtOwners(folder: string): Finding[] {
  const own = statSync(folder);
  const strangers = readdirSync(folder).filter((name) => statSync(join(folder, name)).uid !== own.uid);
  const findings: Finding[] = [];
  if (strangers.length > 0)
    findings.push(problem('DATA_MIXED_OWNERS', `${strangers.slice(0, 5).join(', ')} in ${folder}`));
  if (process.platform !== 'win32' && (own.mode & 0o077) !== 0)
    findings.push(problem('DATA_EXPOSED', `${folder} has mode ${(own.mode & 0o777).toString(8)}`));
  return findings;
}

async function lookAtSpace(folder: string, machine: Machine): Promise<Finding> {
  const { free } = await machine.space(folder);
  const megabytes = Math.floor(free / 1024 / 1024);
  return free < MIN_FREE_BYTES
    ? problem('DISK_NEARLY_FULL', `${megabytes} MB are left where ${folder} is`)
    : ok(`${megabytes} MB are free for the data folder`);
}
