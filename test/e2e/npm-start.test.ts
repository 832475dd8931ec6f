/** `npm start` in a clone: two beside each other, and sentences for what can be typed wrongly. */
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Program, runProgram } from '../harness/program.ts';
import { FROM_SOURCE } from '../harness/relay.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Its own copy of the scripts is what makes a folder a clone; the rest may be the real one. */
let clone: TempFolder;

beforeEach(() => {
  clone = tempFolder();
  cpSync(join(ROOT, 'scripts'), join(clone.path, 'scripts'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(clone.path, 'package.json'));
  for (const name of ['packages', 'node_modules']) symlinkSync(join(ROOT, name), join(clone.path, name));
});
afterEach(() => clone.remove());

const program = (args: readonly string[], env: Record<string, string> = {}) => ({
  name: 'npm start',
  command: process.execPath,
  args: [FROM_SOURCE, 'scripts/start.ts', ...args],
  cwd: clone.path,
  env,
});
const devRelay = (): string => join(clone.path, 'data', 'dev-relay.json');

async function start(): Promise<Program> {
  const started = new Program(program(['--port', '0']));
  await started.waitForLine('the sample', (line) => /A sample service is on/.exec(line)?.[0]);
  return started;
}

describe('npm start beside another', () => {
  it('is refused with a sentence and takes nothing away from it', async () => {
    const first = await start();
    const announced = readFileSync(devRelay(), 'utf8');
    const second = await runProgram(program(['--port', '0']));
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/^A relay runs in this clone already \(.*\)\. Use that one, or stop it first\.$/);
    expect(readFileSync(devRelay(), 'utf8')).toBe(announced);
    await first.close();
    expect(existsSync(devRelay())).toBe(false);
    expect(existsSync(join(clone.path, 'data', 'relay.pid'))).toBe(false);
  });

  it('leaves the announcement of somebody else where it is', async () => {
    const only = await start();
    writeFileSync(devRelay(), 'of somebody else');
    await only.close();
    expect(readFileSync(devRelay(), 'utf8')).toBe('of somebody else');
  });
});

describe('npm start says in a sentence', () => {
  it.each<[string, string[], Record<string, string>, RegExp]>([
    ['an unknown flag', ['--foo'], {}, /^Unknown option '--foo'\. npm start takes a port/],
    ['an argument', ['extra'], {}, /^Unexpected argument 'extra'\. npm start takes a port/],
    ['a flag without its port', ['--port'], {}, /'--port.*npm start takes a port/],
    ['a port that is none', ['--port', 'abc'], {}, /^--port "abc" is not a port/],
    ['a port out of range', ['--port', '70000'], {}, /^--port "70000" is not a port/],
    ['an empty port', ['--port', ''], {}, /^--port "" is not a port/],
    ['a variable that is no port', [], { PORT: 'web' }, /^PORT "web" is not a port/],
  ])('%s, and ends with 2', async (_what, args, env, said) => {
    const { code, stdout, stderr } = await runProgram(program(args, env));
    expect(stderr).toMatch(said);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect([code, stdout]).toEqual([2, '']);
    expect(existsSync(join(clone.path, 'data'))).toBe(false);
  });

  it('that data is a file', async () => {
    writeFileSync(join(clone.path, 'data'), '');
    const { code, stderr } = await runProgram(program(['--port', '0']));
    expect(stderr).toMatch(/data is not a folder; move it away, .*$/);
    expect([code, stderr.trim().split('\n').length]).toEqual([1, 1]);
  });

  it('that the port is taken', async () => {
    await using squatter = await startRawOrigin();
    const { code, stderr } = await runProgram(program(['--port', String(squatter.port)]));
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^Port \d+ is taken by another program\. Stop that/)]);
  });
});
