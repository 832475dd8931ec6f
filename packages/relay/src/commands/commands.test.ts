import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TokenRegistry } from '../access/token-registry.ts';
import { openStore } from '../store/open-store.ts';
import { PidFile } from '../supervisor/pid-file.ts';
import { runProgram } from './program.ts';
import type { ServeWorld } from './world.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-commands-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

class TestWorld implements ServeWorld {
  readonly env: Record<string, string> = {};
  readonly cwd = folder;
  readonly version = '1.2.3';
  readonly isTty = false;
  readonly notes: string[] = [];
  readonly events: Record<string, unknown>[] = [];
  output = '';
  readonly stops = new Set<() => void>();
  #onEvent: ((event: Record<string, unknown>) => void) | undefined;

  readonly logOutput = {
    dropped: 0,
    flush: async (): Promise<void> => {},
    write: (line: string): void => {
      const event = JSON.parse(line) as Record<string, unknown>;
      this.events.push(event);
      this.#onEvent?.(event);
    },
  };

  readonly pid = 1;
  readonly parent = undefined;

  onHangUp(): void {}

  onReload(): void {}

  startWorker(): never {
    throw new Error('a test of commands starts no processes');
  }

  out(text: string): void {
    this.output += text;
  }

  note(line: string): void {
    this.notes.push(line);
  }

  onStop(listener: () => void): () => void {
    this.stops.add(listener);
    return () => this.stops.delete(listener);
  }

  logged(event: string): Promise<Record<string, unknown>> {
    return new Promise((resolve) => {
      this.#onEvent = (seen) => {
        if (seen['event'] === event) resolve(seen);
      };
    });
  }
}

async function run(...args: string[]): Promise<TestWorld & { code: number }> {
  const world = new TestWorld();
  return Object.assign(world, { code: await runProgram(args, world) });
}

describe('porthole-relay token', () => {
  it('prints a new token alone, and everything else beside', async () => {
    const { output, notes, code } = await run(
      'token',
      'add',
      'ann',
      '--names',
      'a,b-*',
      '--ports',
      '7000-7010',
      '--max-tunnels',
      '3',
    );
    expect(code).toBe(0);
    expect(output).toMatch(/^ph_[a-z2-7]{12}_[A-Za-z0-9_-]{43}\n$/);
    expect(notes.join()).not.toContain(output.trim().slice(16));
    const store = openStore(join(folder, 'data'));
    const check = await new TokenRegistry(store).check(output);
    expect(check).toMatchObject({
      ok: true,
      token: { user: 'ann', scope: { names: ['a', 'b-*'], ports: [{ first: 7000, last: 7010 }], maxTunnels: 3 } },
    });
    await store.close();
  });

  it('lists and revokes, and shows no secret doing so', async () => {
    const secret = (await run('token', 'add', 'ann')).output.trim();
    const id = secret.slice(3, 15);
    const list = (await run('token', 'list')).output;
    expect(list).toMatch(new RegExp(`${id} +ann +any +any +any +\\d{4}-\\d\\d-\\d\\d +valid`));
    await run('token', 'revoke', id);
    const json = (await run('token', 'list', '--json')).output;
    expect(JSON.parse(json)).toMatchObject([{ id, user: 'ann', revokedAt: expect.any(String) }]);
    expect(list + json).not.toContain(secret.slice(16));
    expect(json).not.toContain('hash');
  });

  it('refuses what it cannot understand, with what it would', async () => {
    for (const [args, wanted] of [
      [['add', 'ann', '--names', 'a b'], '--names'],
      [['add', 'ann', '--ports', '7000-'], '--ports'],
      [['add', 'ann', '--max-tunnels', 'x'], '--max-tunnels'],
      [['add', 'a b'], 'a b'],
      [['add'], 'user'],
    ] as const) {
      await expect(run('token', ...args)).rejects.toMatchObject({
        code: 'USAGE',
        detail: expect.stringContaining(wanted),
      });
    }
    await expect(run('token', 'revoke', 'nothere')).rejects.toMatchObject({
      code: 'TOKEN_NOT_FOUND',
      detail: '"nothere"',
      hint: expect.stringContaining('token list'),
    });
    expect(existsSync(join(folder, 'data', 'porthole.db'))).toBe(true);
  });
});

describe('porthole-relay name', () => {
  it('reserves, refuses another user, lists and releases', async () => {
    await run('name', 'reserve', 'Shop', '--user', 'ann');
    await expect(run('name', 'reserve', 'shop', '--user', 'bob')).rejects.toMatchObject({
      code: 'NAME_RESERVED',
      detail: expect.stringContaining('ann'),
    });
    expect((await run('name', 'list')).output).toMatch(/shop +ann/);
    expect((await run('name', 'release', 'shop')).notes).toEqual(['shop is free.']);
    expect((await run('name', 'release', 'shop')).notes).toEqual(['shop was not reserved.']);
    await expect(run('name', 'reserve', 'a.b', '--user', 'ann')).rejects.toMatchObject({ code: 'NAME_INVALID' });
  });
});

describe('porthole-relay config', () => {
  it('prints what is in effect and where it comes from', async () => {
    writeFileSync(join(folder, 'relay.yml'), 'grace: 90s\n');
    const { output } = await run(
      'config',
      '--config',
      'relay.yml',
      '--public-url',
      'https://t.example.com',
      '--open',
      'false',
    );
    expect(output).toMatch(/^grace: 90s +# relay.yml:1$/m);
    expect(output).toMatch(/^public_url: "https:\/\/t.example.com" +# --public-url$/m);
    expect(output).toMatch(/^open: false +# --open$/m);
    expect(output).toMatch(/^wait: 10s +# default$/m);
  });

  it('reports every fault, and a file that is not there', async () => {
    writeFileSync(join(folder, 'relay.yml'), 'grace: soon\ndomian: x\n');
    await expect(run('config', '--config', 'relay.yml', '--wait', 'x')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      detail: expect.stringMatching(/^relay.yml:1:8: .*\nrelay.yml:2:1: .*domain\?\n--wait: /),
    });
    await expect(run('config', '--config', 'other.yml')).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      detail: expect.stringContaining('other.yml'),
    });
    await expect(run('config', '--gracee', '1s')).rejects.toMatchObject({
      code: 'USAGE',
      detail: expect.stringContaining('--grace'),
    });
  });
});

describe('porthole-relay serve', () => {
  const LOCAL = ['--workers', '0', '--http', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--drain', '1s'];

  it('says where it listens, answers on the admin address, and stops when asked', async () => {
    const world = new TestWorld();
    const listening = world.logged('listening');
    const served = runProgram(['serve', ...LOCAL], world);
    const event = await listening;
    expect(event).toMatchObject({
      http: expect.stringMatching(/^127\.0\.0\.1:[1-9]/),
      version: '1.2.3',
      domains: ['localhost'],
    });
    const admin = `http://${String(event['admin'])}`;
    expect((await fetch(`${admin}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${admin}/api/status`)).json()).toMatchObject({ draining: false, sessions: [] });
    const metrics = await (await fetch(`${admin}/metrics`)).text();
    for (const name of [
      'sessions',
      'tunnels',
      'exchanges_total',
      'visitor_sent_bytes_total',
      'resumes_total',
      'unacknowledged_bytes',
      'leases',
    ]) {
      expect(metrics).toMatch(new RegExp(`^porthole_${name} 0$`, 'm'));
    }
    for (const stop of world.stops) stop();
    expect(await served).toBe(0);
    expect(world.events.map((line) => line['event'])).toContain('no tokens');
    expect(world.events.at(-1)).toMatchObject({ event: 'stopped' });
    await expect(fetch(`${admin}/healthz`)).rejects.toThrow();
  });

  it('ends with a sentence when an address is taken, and leaves nothing open', async () => {
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
    const { port } = squatter.address() as AddressInfo;
    const taken = `127.0.0.1:${port}`;
    await expect(run('serve', '--workers', '0', '--http', taken, '--admin', '127.0.0.1:0')).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
      detail: expect.stringContaining(String(port)),
    });
    const world = new TestWorld();
    const args = ['serve', '--workers', '0', '--http', '127.0.0.1:0', '--admin', taken];
    await expect(runProgram(args, world)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
    // What did not start does not say that it stopped.
    expect(world.events).toEqual([]);
    await new Promise((resolve) => squatter.close(resolve));
  });

  it('does not start on the data of a relay that runs, with or without workers', async () => {
    mkdirSync(join(folder, 'data'));
    const other = new PidFile(join(folder, 'data'));
    other.claim(process.ppid);
    for (const workers of ['0', '1'])
      await expect(run('serve', ...LOCAL, '--workers', workers)).rejects.toMatchObject({
        code: 'DATA_FOLDER_IN_USE',
        detail: expect.stringContaining(String(process.ppid)),
      });
    await expect(run('reload')).rejects.toMatchObject({
      code: 'NO_RELAY_RUNS',
      detail: expect.stringMatching(/workers/),
    });
    expect(other.running()?.pid).toBe(process.ppid);
    other.release();
    await expect(run('reload')).rejects.toMatchObject({ code: 'NO_RELAY_RUNS', detail: join(folder, 'data') });
  });

  it('says that it is open when it is', async () => {
    const world = new TestWorld();
    const opened = world.logged('open');
    const served = runProgram(['serve', ...LOCAL, '--open'], world);
    expect(await opened).toMatchObject({ level: 'warn' });
    for (const stop of world.stops) stop();
    await served;
    await expect(run('serve', '--open', '--http', ':0')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});
