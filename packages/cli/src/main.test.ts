/** The real program as a process: exit codes, what stands on which stream, signals. No relay is needed for any of it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

const BIN = fileURLToPath(new URL('../bin/porthole.mjs', import.meta.url));
const SOURCE = '--conditions=@porthole/source';

let home: string;
/** Takes whoever dials, says nothing and hangs up: a relay that is never there. */
let dead: Server;
let relay: string;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'porthole-main-'));
  dead = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(dead, 'listening');
  relay = `http://127.0.0.1:${(dead.address() as AddressInfo).port}`;
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});
afterAll(() => {
  dead.close();
  rmSync(home, { recursive: true, force: true });
});

interface Launch {
  /** Started by the launcher in a process of its own, as in a checkout with an old Node. */
  readonly launched?: boolean;
  readonly detached?: boolean;
}

function launch(args: readonly string[], { launched = false, detached = false }: Launch = {}): ChildProcess {
  const env = {
    PATH: process.env['PATH'],
    NODE_OPTIONS: process.env['NODE_OPTIONS'],
    HOME: home,
    XDG_RUNTIME_DIR: home,
  };
  const child = spawn(process.execPath, [...(launched ? [] : [SOURCE]), BIN, ...args], {
    cwd: home,
    env,
    detached,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  return child;
}

async function finish(
  args: readonly string[],
  options?: Launch,
): Promise<{ code: number | null; out: string; err: string }> {
  const child = launch(args, options);
  const [out, err, [code]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

async function textOf(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) text += String(chunk);
  return text;
}

/** Resolves with the first line of this event; keeps reading, so that the pipe never fills. */
function untilEvent(child: ChildProcess, event: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { stdout } = child;
    if (stdout === null) return reject(new Error('there is no output'));
    createInterface({ input: stdout }).on('line', (line) => {
      if (line.startsWith(`{"event":"${event}"`)) resolve(line);
    });
    child.once('exit', (code) => reject(new Error(`ended with ${code} before ${event}`)));
  });
}

describe('a command that cannot do what is asked', () => {
  it('says so on standard error, with what to do and no stack, and exits with 2', async () => {
    const { code, out, err } = await finish(['http', 'no:such:target', '--relay', relay]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^porthole: The target is not valid\. .*\[TARGET_INVALID\]\n {2}Use a port/);
    expect(err).not.toContain('    at ');
  });

  it('names every fault of its file by line', async () => {
    writeFileSync(join(home, 'bad.yml'), 'relay: ftp://x\ntunnels:\n  web: { htpp: 1 }\n');
    const { code, err } = await finish(['start', '--config', 'bad.yml']);
    expect(code).toBe(2);
    expect(err.split('\n').filter((line) => line.startsWith('  bad.yml:'))).toEqual([
      '  bad.yml:1:8: relay: must begin with https:// or http://',
      '  bad.yml:3:8: tunnels.web: must have exactly one of http, tcp, tls and serve',
      '  bad.yml:3:10: tunnels.web.htpp: unknown key; did you mean http?',
    ]);
  });

  it('is an object with --json', async () => {
    const { code, out, err } = await finish(['htpp', '3000', '--json']);
    expect([code, err]).toEqual([2, '']);
    expect(JSON.parse(out)).toEqual({
      event: 'error',
      code: 'USAGE',
      message: expect.stringContaining('Did you mean http?'),
      hint: 'See --help.',
    });
  });

  it('shows the stack to those who ask for it', async () => {
    expect((await finish(['http', 'x:y:z', '--log-level', 'debug'])).err).toContain('    at ');
  });

  it('shows it to those who ask in the file, unless the command line asks for less', async () => {
    writeFileSync(join(home, 'debug.yml'), `relay: ${relay}\nlog_level: debug\ntunnels:\n  web: { serve: /nowhere }\n`);
    const args = ['start', '--config', 'debug.yml'];
    const { code, err } = await finish(args);
    expect([code, err]).toEqual([2, expect.stringContaining('    at ')]);
    expect((await finish([...args, '--log-level', 'info'])).err).not.toContain('    at ');
  });

  it('passes its exit code through the launcher', async () => {
    expect((await finish(['htpp'], { launched: true })).code).toBe(2);
  });
});

describe('an agent without a relay', () => {
  it('keeps trying, says why, and exits with 0 when asked to stop', async () => {
    const child = launch(['http', '3000', '--relay', relay, '--json']);
    const line = await untilEvent(child, 'interrupted');
    expect(JSON.parse(line)).toMatchObject({
      event: 'interrupted',
      hint: expect.any(String),
      next_try_ms: expect.any(Number),
      tries: 1,
    });
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('keeps trying when nobody reads its output any more', async () => {
    const child = launch(['http', '3000', '--relay', relay, '--json']);
    await untilEvent(child, 'interrupted');
    child.stdout?.destroy();
    child.stderr?.destroy();
    for (let dials = 0; dials < 3; dials++) await once(dead, 'connection');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('takes a Ctrl-C that reaches it and its launcher for one', async () => {
    const child = launch(['http', '3000', '--relay', relay, '--json'], { launched: true, detached: true });
    await untilEvent(child, 'interrupted');
    const closed = untilEvent(child, 'closed');
    process.kill(-Number(child.pid), 'SIGINT');
    expect(await closed).toBe('{"event":"closed"}');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
