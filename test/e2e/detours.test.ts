/** Ways to the relay that are not straight: HTTP proxies with passwords, NO_PROXY, boxes that refuse unknown upgrades. */
import { createServer, connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchAgent, startAgent } from '../harness/agent.ts';
import { missing } from '../harness/debian.ts';
import { freePortRange } from '../harness/free-ports.ts';
import { Listener } from '../harness/listener.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { giveFolder, notAsRoot } from '../harness/other-user.ts';
import { Program, runProgram } from '../harness/program.ts';
import { refusingPort } from '../harness/bad-origin.ts';
import { askOnce, getRequest } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';
import { until } from '../harness/until.ts';
import { download, expectWhole, upload, visitWebSocket } from '../harness/visits.ts';
import { connectWire } from '../harness/wire.ts';

const MIB = 1024 * 1024;
const SQUID_USERS = ['proxy', 'nobody'];
const AUTH_HELPER = '/usr/lib/squid/basic_ncsa_auth';

let relay: RelayUnderTest;
let origin: Origin;
let token: string;

beforeAll(async () => {
  origin = await startOrigin();
  relay = await startRelay();
  token = await relay.addToken('ada');
});
afterAll(async () => {
  await relay?.close();
  await origin?.close();
});

async function works(url: string): Promise<void> {
  expect((await askOnce(url, getRequest(url, '/size/4'))).body.length).toBe(4);
}

describe.skipIf(missing('squid', 'openssl'))('an agent behind squid', () => {
  let squid: Program;
  let folder: TempFolder;
  let port: number;

  beforeAll(async () => {
    folder = tempFolder();
    ({ first: port } = await freePortRange(1));
    const { stdout: hash } = await runProgram({
      name: 'openssl',
      command: 'openssl',
      args: ['passwd', '-apr1', 'p@ss:word'],
    });
    const passwords = folder.write('passwords', `agent:${hash.trim()}\n`);
    const config = folder.write(
      'squid.conf',
      [
        `http_port 127.0.0.1:${port}`,
        `auth_param basic program ${AUTH_HELPER} ${passwords}`,
        'auth_param basic children 1',
        'acl known proxy_auth REQUIRED',
        'http_access allow known',
        'http_access deny all',
        'cache deny all',
        'pid_filename none',
        'pinger_enable off',
        `access_log stdio:${folder.path}/access.log`,
        'cache_log /dev/null',
        'shutdown_lifetime 0 seconds',
        `coredump_dir ${folder.path}`,
        '',
      ].join('\n'),
    );
    giveFolder(folder.path, SQUID_USERS);
    squid = new Program({
      name: 'squid',
      ...notAsRoot(SQUID_USERS, 'squid', ['-N', '-n', `porthole${process.pid}`, '-f', config]),
      cwd: folder.path,
      stopWithinMs: 15_000,
    });
    await until('squid listens', async () => {
      try {
        await (await connectWire({ host: '127.0.0.1', port })).close();
        return true;
      } catch (error) {
        if (squid.exit !== undefined) throw new Error(squid.tail(), { cause: error });
        return false;
      }
    });
  });
  afterAll(async () => {
    await squid?.close();
    folder?.remove();
  });

  it('gets through with a password from the environment, and carries large bodies', async () => {
    const proxy = `http://agent:${encodeURIComponent('p@ss:word')}@127.0.0.1:${port}`;
    const agent = await startAgent({ relayUrl: relay.url, token, target: origin.port, env: { HTTP_PROXY: proxy } });
    const url = await agent.url();
    await works(url);
    expectWhole(await download(url, `/size/${8 * MIB}`), 8 * MIB);
    expectWhole(await upload(url, 8 * MIB), 8 * MIB);
    await agent.close();
    await until('squid has written its log', () =>
      readFileSync(`${folder.path}/access.log`, 'utf8').includes(`CONNECT 127.0.0.1:${relay.port}`),
    );
    expect(agent.program.tail()).not.toContain('p@ss:word');
  });

  it('is told that a password is missing or wrong, keeps trying, and does not show it', async () => {
    for (const proxy of [`http://127.0.0.1:${port}`, `http://agent:canary-secret@127.0.0.1:${port}`]) {
      await using agent = launchAgent({ relayUrl: relay.url, token, target: origin.port, env: { http_proxy: proxy } });
      const interrupted = await agent.event('interrupted');
      expect(interrupted.code).toBe('PROXY_FAILED');
      expect(interrupted['message']).toMatch(/HTTP proxy .* answered 407 .*user name and password/);
      expect(agent.program.exit).toBeUndefined();
      expect(agent.program.tail()).not.toContain('canary-secret');
    }
  });
});

describe('NO_PROXY', () => {
  it('leaves a dead proxy aside', async () => {
    const dead = `http://127.0.0.1:${await refusingPort()}`;
    await using agent = await startAgent({
      relayUrl: relay.url,
      token,
      target: origin.port,
      env: { HTTP_PROXY: dead, HTTPS_PROXY: dead, NO_PROXY: 'example.com,127.0.0.1' },
    });
    await works(await agent.url());
  });

  it('without it the dead proxy is named, not the relay', async () => {
    const deadPort = await refusingPort();
    await using agent = launchAgent({
      relayUrl: relay.url,
      token,
      target: origin.port,
      env: { HTTP_PROXY: `http://agent:canary-secret@127.0.0.1:${deadPort}` },
    });
    const { code, message, hint } = await agent.event('interrupted');
    expect(code).toBe('PROXY_FAILED');
    expect(message).toMatch(new RegExp(`proxy .*http://127\\.0\\.0\\.1:${deadPort}: .*ECONNREFUSED`));
    expect(message).not.toContain(`127.0.0.1:${relay.port}`);
    expect(hint).toContain('NO_PROXY');
    expect(agent.program.tail()).not.toContain('canary-secret');
  });
});

describe('a box on the way that refuses what it does not know', () => {
  /** Passes WebSocket upgrades on and answers any other upgrade with `refusal`. */
  async function narrowBox(refusal: string): Promise<Listener> {
    return await new Listener(
      createServer((inside) => {
        inside.once('data', (head: Buffer) => {
          if (/upgrade: porthole/i.test(head.toString('latin1'))) {
            inside.end(refusal);
            return;
          }
          const outside: Socket = connect(relay.port, '127.0.0.1', () => outside.write(head));
          inside.pipe(outside).pipe(inside);
          outside.on('error', () => inside.destroy());
          inside.on('close', () => outside.destroy());
        });
      }),
    ).listen();
  }

  it.each([
    ['400', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'],
    ['200', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'],
    ['nothing at all', ''],
  ])('with %s: the agent comes in as a WebSocket, and everything works', async (_what, refusal) => {
    await using box = await narrowBox(refusal);
    await using agent = await startAgent({ relayUrl: `http://127.0.0.1:${box.port}`, token, target: origin.port });
    const url = await agent.url();
    await works(url);
    expectWhole(await download(url, `/size/${4 * MIB}`), 4 * MIB);
    expectWhole(await upload(url, 4 * MIB), 4 * MIB);
    const visit = await visitWebSocket(url);
    await visit.untilCount(20);
    // Losing such a carrier costs nothing either.
    for (const socket of box.sockets) socket.resetAndDestroy();
    await visit.untilCount(visit.count + 20);
    await visit.stop();
  });
});

describe('the relay behind another relay of bytes', () => {
  it('that splits and joins packets changes nothing', async () => {
    const splitter = await new Listener(
      createServer({ noDelay: true }, (inside) => {
        const outside = connect({ port: relay.port, host: '127.0.0.1', noDelay: true });
        const chop = (from: Socket, to: Socket): void => {
          from.on('data', (chunk: Buffer) => {
            for (let at = 0, size = 1; at < chunk.length; at += size, size = (size * 3 + 1) % 1777)
              to.write(chunk.subarray(at, at + Math.max(1, size)));
            if (to.writableNeedDrain) {
              from.pause();
              void once(to, 'drain').then(() => from.resume());
            }
          });
          from.on('close', () => to.destroy());
          from.on('error', () => undefined);
        };
        chop(inside, outside);
        chop(outside, inside);
      }),
    ).listen();
    const agent = await startAgent({ relayUrl: `http://127.0.0.1:${splitter.port}`, token, target: origin.port });
    const url = await agent.url();
    expectWhole(await download(url, `/size/${2 * MIB}`), 2 * MIB);
    expectWhole(await upload(url, 2 * MIB), 2 * MIB);
    await agent.close();
    await splitter.close();
  });
});
