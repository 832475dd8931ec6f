#!/usr/bin/env node
/**
 * Starts the relay under any Node that can read this file: the built one, or, in a checkout, the source. In this process
 * wherever that is possible, so that signals and `kill` meet the relay itself. Its first half is that of the `porthole`
 * command's: an older Node must be able to read a launcher by itself, so it imports nothing of ours.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
// As a whole: an older Node has no `registerHooks`, and would refuse to load this file for it.
import * as modules from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const CONDITION = '@porthole/source';
const NEEDED = [24, 15];
const folder = dirname(dirname(fileURLToPath(import.meta.url)));
const built = join(folder, 'dist', 'main.js');
const source = join(folder, 'src', 'main.ts');

function isNewEnough() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

/** The Node that the lock file of a checkout brings along. */
function bundledNode() {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const file = process.platform === 'win32' ? 'node.exe' : 'node';
  for (let at = folder; ; at = dirname(at)) {
    const found = join(at, 'node_modules', name, 'bin', file);
    if (existsSync(found)) return found;
    if (dirname(at) === at) return undefined;
  }
}

function fail(sentence) {
  process.stderr.write(`porthole-relay: ${sentence}\n`);
  process.exit(1);
}

async function importSource() {
  if (!process.execArgv.includes(`--conditions=${CONDITION}`)) {
    modules.registerHooks({
      resolve: (specifier, context, next) =>
        next(specifier, { ...context, conditions: [...context.conditions, CONDITION] }),
    });
  }
  await import(pathToFileURL(source).href);
}

/** The same again under another Node. It is told what we are told, and we end as it ends. */
function runUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => fail(`${node} could not be started: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

if (!isNewEnough()) {
  const node = bundledNode();
  if (node === undefined || process.execPath === node)
    fail(`Node ${NEEDED.join('.')} or newer is needed; this is ${process.versions.node}.`);
  else runUnder(node);
} else if (existsSync(source)) {
  await importSource();
} else if (existsSync(built)) {
  await import(pathToFileURL(built).href);
} else {
  fail('this installation is damaged: neither dist nor src is there. Install it again.');
}
