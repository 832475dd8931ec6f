/**
 * The door of every `npm run` command. Plain JavaScript for Node 20 and later: it makes sure that what the lock file says
 * is installed, finds a Node that is new enough (the system's, or the one from the lock file), and runs the command on it.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NEEDED = [24, 15];
const SOURCE = '--conditions=@porthole/source';

const COMMANDS = {
  start: (args) => node([SOURCE, 'scripts/start.ts', ...args]),
  dev: (args) => node(['--watch', '--watch-preserve-output', SOURCE, 'scripts/start.ts', ...args]),
  test,
  check,
  build: (args) => tool('typescript', 'tsc', ['-b', ...buildProjects(), ...args]),
  bench: (args) => node([SOURCE, 'bench/main.ts', ...args]),
  soak: (args) => node([SOURCE, 'test/soak/main.ts', ...args]),
  docs: (args) => node([SOURCE, 'scripts/docs.ts', ...args]),
};

const [command, ...args] = process.argv.slice(2);
if (command === undefined || !Object.hasOwn(COMMANDS, command)) {
  fail(`There is no command '${command ?? ''}'. Commands: ${Object.keys(COMMANDS).join(', ')}.`, 2);
}
const installFault = ensureInstalled(root);
if (installFault !== undefined) fail(installFault, 1);
const nodePath = findNode();
process.exitCode = await COMMANDS[command](args);

function fail(sentence, code) {
  console.error(sentence);
  process.exit(code);
}

function isNewEnough(version) {
  const [major, minor] = version.replace('v', '').split('.').map(Number);
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

function findNode() {
  if (isNewEnough(process.version)) return process.execPath;
  const packaged =
    process.platform === 'win32'
      ? `node-win-${process.arch}/bin/node.exe`
      : `node-${process.platform}-${process.arch}/bin/node`;
  const path = join(root, 'node_modules', packaged);
  if (existsSync(path)) return path;
  return fail(
    `This is Node ${process.version}; Porthole needs Node ${NEEDED.join('.')} or later, and none comes with the dependencies for ${process.platform}-${process.arch}. Install a newer Node.`,
    1,
  );
}

/** Runs Node on `argv` in the root folder; resolves to its exit code. Ctrl-C reaches the program itself, which ends cleanly. */
function node(argv, env = {}) {
  // node_modules/.bin first, so that a bare `node` in a grandchild is the same one.
  const PATH = [dirname(nodePath), join(root, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter);
  const child = spawn(nodePath, argv, { cwd: root, stdio: 'inherit', env: { ...process.env, PATH, ...env } });
  const pass = (signal) => child.kill(signal);
  const ignore = () => {};
  process.on('SIGINT', ignore);
  process.on('SIGTERM', pass);
  return new Promise((resolve) => {
    const done = (code) => {
      process.off('SIGINT', ignore);
      process.off('SIGTERM', pass);
      resolve(code);
    };
    child.once('error', (error) => {
      console.error(`${nodePath} could not be started: ${error.message}`);
      done(1);
    });
    child.once('exit', (code, signal) => done(code ?? 128 + constants.signals[signal]));
  });
}

function tool(packageName, bin, argv, env) {
  const manifest = JSON.parse(readFileSync(join(root, 'node_modules', packageName, 'package.json'), 'utf8'));
  const file = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[bin];
  return node([join('node_modules', packageName, file), ...argv], env);
}

function buildProjects() {
  const names = ['protocol', 'acme', 'agent', 'cli', 'relay'];
  return names
    .map((name) => join('packages', name))
    .filter((folder) => existsSync(join(root, folder, 'tsconfig.json')));
}

/** Every test, or those named. The last line says how many passed and failed, whatever vitest has printed before. */
async function test(args) {
  const folder = mkdtempSync(join(tmpdir(), 'porthole-test-'));
  const summary = join(folder, 'summary.json');
  const code = await tool('vitest', 'vitest', ['run', ...args], { PORTHOLE_TEST_SUMMARY: summary });
  const counts = existsSync(summary) ? JSON.parse(readFileSync(summary, 'utf8')) : { passed: 0, failed: 0, skipped: 0 };
  rmSync(folder, { recursive: true });
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  const skipped = counts.skipped === 0 ? '' : `, ${counts.skipped} skipped`;
  console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
  return counts.failed === 0 ? code : Math.max(code, 1);
}

/** What continuous integration runs, in its order. Every step runs, so that one look shows all that is wrong. */
async function check(args) {
  const steps = [
    ['types', () => tool('typescript', 'tsc', ['-p', 'tsconfig.json'])],
    ['lint', () => tool('oxlint', 'oxlint', ['--type-aware', '--deny-warnings'])],
    ['format', () => tool('@biomejs/biome', 'biome', ['format', '.'])],
    [
      'dependencies and exports',
      () =>
        tool('knip', 'knip', ['--include', 'dependencies,unlisted,unresolved,binaries,exports,types', '--no-progress']),
    ],
  ];
  const failures = [];
  for (const [name, run] of steps) {
    console.log(`== ${name}`);
    if ((await run()) !== 0) failures.push(name);
  }
  if (failures.length > 0) console.error(`== failed: ${failures.join(', ')}`);
  console.log('== tests');
  const code = await test(args);
  return failures.length > 0 ? Math.max(code, 1) : code;
}
