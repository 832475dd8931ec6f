/**
 * `npm run soak [-- --seconds N --seed N]`: mixed load over a tunnel whose carrier is damaged all the time, then over a
 * relay that is reloaded all the time, with one worker and with two. Each part ends with a table, and the whole with exit
 * code 1 when a visitor saw an error or something did not come back to where it was.
 * `npm run soak -- faults` or `-- reload` runs one of them, `-- resume` runs `test/e2e/survival/resume.test.ts` in full
 * size, any other test of `test/e2e` and `test/interop` likewise (`-- big-bodies`: 5 GB each way); `-- thin-line` measures over long and thin lines (`bench/wan`).
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { thinLine } from '../../bench/wan/main.ts';
import { runInFull } from './in-full.ts';
import { soakUnderFaults } from './under-faults.ts';
import { soakUnderReloads } from './under-reloads.ts';

const FAULTS_SECONDS = 600;
const RELOAD_SECONDS = 60;
const SECONDS_PER_RELOAD = 12;
const WORKERS = [1, 2];

const print = (line = ''): void => void process.stdout.write(`${line}\n`);

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const seed = Number(values.seed ?? 1);
/** For all parts together. */
const seconds = values.seconds === undefined ? undefined : Number(values.seconds);

/** Of a shorter time than the full one the reloads take a third. */
function reloadSeconds(total: number | undefined, share: number): number {
  return total === undefined ? RELOAD_SECONDS : Math.min(RELOAD_SECONDS, (total * share) / WORKERS.length);
}

const PARTS: Readonly<Record<string, (isAlone: boolean) => Promise<boolean>>> = {
  faults: async (isAlone) => {
    const rest = isAlone ? 0 : WORKERS.length * reloadSeconds(seconds, 1 / 3);
    return await soakUnderFaults(print, { seconds: seconds === undefined ? FAULTS_SECONDS : seconds - rest, seed });
  },
  reload: async (isAlone) => {
    const each = reloadSeconds(seconds, isAlone ? 1 : 1 / 3);
    const reloads = Math.ceil(each / SECONDS_PER_RELOAD);
    let isWell = true;
    for (const workers of WORKERS)
      isWell = (await soakUnderReloads(print, { seconds: each, reloads, workers })) && isWell;
    return isWell;
  },
  'thin-line': async () => (await thinLine()) === 0,
};

/** The file of a test that has a full size, if there is one. */
function testFile(name: string): string | undefined {
  return ['e2e', 'e2e/survival', 'interop']
    .map((folder) => fileURLToPath(new URL(`../${folder}/${name}.test.ts`, import.meta.url)))
    .find((file) => existsSync(file));
}

async function soak(names: readonly string[]): Promise<boolean> {
  const tests = names.flatMap((name) => (Object.hasOwn(PARTS, name) ? [] : (testFile(name) ?? [])));
  let isWell = tests.length === 0 || (await runInFull(tests)) === 0;
  for (const name of names) isWell = ((await PARTS[name]?.(names.length === 1)) ?? true) && isWell;
  return isWell;
}

const isKnown = (name: string): boolean => Object.hasOwn(PARTS, name) || testFile(name) !== undefined;
if ((seconds !== undefined && !(seconds > 0)) || !Number.isInteger(seed) || !positionals.every(isKnown)) {
  process.stderr.write(
    `usage: npm run soak [-- --seconds N --seed N], or npm run soak -- <part> …\n` +
      `parts: ${Object.keys(PARTS).join(', ')}, and the tests of test/e2e, test/e2e/survival and test/interop\n`,
  );
  process.exit(2);
}
process.exitCode = (await soak(positionals.length > 0 ? positionals : ['faults', 'reload'])) ? 0 : 1;
