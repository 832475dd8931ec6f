import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PidFile } from './pid-file.ts';

let folder: string;
let path: string;
/** Stands for the relay that was here first. */
let other: ChildProcess;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-pid-'));
  path = join(folder, 'relay.pid');
  other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(other, 'spawn');
});

afterEach(async () => {
  await endOther();
  rmSync(folder, { recursive: true });
});

async function endOther(): Promise<void> {
  if (other.exitCode !== null || other.signalCode !== null) return;
  other.kill('SIGKILL');
  await once(other, 'exit');
}

function claimed(pid: number): PidFile {
  const file = new PidFile(folder);
  file.claim(pid);
  return file;
}

const otherPid = (): number => other.pid as number;

it('a folder has one relay: a second is refused, and takes nothing away', () => {
  claimed(otherPid());
  const before = readFileSync(path, 'utf8');
  const second = new PidFile(folder);
  expect(() => second.claim(process.pid)).toThrow(
    expect.objectContaining({ code: 'DATA_FOLDER_IN_USE', detail: expect.stringContaining(String(otherPid())) }),
  );
  second.release();
  expect(readFileSync(path, 'utf8')).toBe(before);
  expect(second.running()).toMatchObject({ pid: otherPid() });
});

it('the file of one that was killed is no obstacle, and is told apart from that of one that ended', async () => {
  claimed(otherPid());
  await endOther();
  const file = new PidFile(folder);
  expect(file.running()).toBeUndefined();
  file.claim(process.pid);
  expect(file.wasLeftBehind).toBe(true);
  file.release();
  expect(existsSync(path)).toBe(false);
  expect(claimed(process.pid).wasLeftBehind).toBe(false);
});

it.runIf(process.platform === 'linux')('a pid that belongs to somebody else by now is no obstacle', () => {
  // The number is that of a process that runs, but which began at another time.
  writeFileSync(path, `${otherPid()} 1 reloads\n`);
  expect(new PidFile(folder).running()).toBeUndefined();
  expect(claimed(process.pid).wasLeftBehind).toBe(true);
});

it('a pid that is our own is no obstacle: containers give the same one again', () => {
  writeFileSync(path, `${process.pid} 1\n`);
  expect(claimed(process.pid).wasLeftBehind).toBe(true);
});

it('what another has written there meanwhile is not removed', () => {
  const file = claimed(process.pid);
  const theirs = `${otherPid()} 1\n`;
  writeFileSync(path, theirs);
  file.release();
  expect(readFileSync(path, 'utf8')).toBe(theirs);
});

it('a relay can be reloaded once it says so', () => {
  const file = claimed(process.pid);
  expect(new PidFile(folder).running()).toMatchObject({ pid: process.pid, canReload: false });
  file.allowReload();
  expect(new PidFile(folder).running()).toMatchObject({ pid: process.pid, canReload: true });
  expect(new PidFile(folder).outcome()).toMatchObject({ count: 0 });
});

it.each(['', 'x\n', '0\n', '-5\n', '1.5\n'])('a file that holds %j names nobody', (text) => {
  writeFileSync(path, text);
  expect(new PidFile(folder).running()).toBeUndefined();
  claimed(process.pid);
});
