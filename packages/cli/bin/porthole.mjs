#!/usr/bin/env node
/**
 * Starts the command under any Node that can read this file: the built one in this process, or, in a checkout,
 * the source under a Node that is new enough. Its first half is that of `porthole-relay`'s, which says why.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const CONDITION = '--conditions=@porthole/source';
const NEEDED = [22, 19];
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
  process.stderr.write(`porthole: ${sentence}\n`);
  process.exit(1);
}

function runSource(node) {
  const child = spawn(node, [CONDITION, '--disable-warning=ExperimentalWarning', source, ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // A Ctrl-C at the terminal reaches the child without us, too: it counts two within half a second as one.
  const passedOn = new Set();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => {
      passedOn.add(signal);
      child.kill(signal);
    });
  child.on('error', (error) => fail(`${node} could not be started: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    // Ours may meet a child that has just finished what the terminal asked of it, and listens no more.
    if (passedOn.has(signal)) process.exit(0);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

if (isNewEnough() && process.execArgv.includes(CONDITION) && existsSync(source)) {
  await import(pathToFileURL(source).href);
} else if (existsSync(source)) {
  const node = isNewEnough() ? process.execPath : bundledNode();
  if (node === undefined)
    fail(
      `Node ${NEEDED.join('.')} or newer is needed; this is ${process.versions.node}. Run npm install in the checkout, which brings one.`,
    );
  else runSource(node);
} else if (existsSync(built)) {
  if (isNewEnough()) await import(pathToFileURL(built).href);
  else fail(`Node ${NEEDED.join('.')} or newer is needed; this is ${process.versions.node}.`);
} else {
  fail('this installation is damaged: neither dist nor src is there. Install it again.');
}
