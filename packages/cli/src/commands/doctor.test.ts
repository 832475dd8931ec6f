/** What takes another relay or another program than the end-to-end table has. */
import { EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LinkEvents } from '@porthole/agent';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OutputStream } from '../output/line-writer.ts';
import { StopRequests } from '../stop-requests.ts';
import type { World } from '../world.ts';
import { runDoctor } from './doctor.ts';

class Memory extends EventEmitter implements OutputStream {
  writableLength = 0;
  destroyed = false;
  text = '';
  write(text: string, done?: (error?: Error | null) => void): boolean {
    this.text += text;
    if (done !== undefined) setImmediate(done);
    return true;
  }
}

let server: Server;
let port: number;

beforeEach(async () => {
  server = createServer((_request, response) =>
    response.writeHead(404, { 'porthole-error': 'TUNNEL_NOT_FOUND' }).end(),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});

afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
});

/** The lines of a doctor whose relay says of itself what `software` says; no tunnel ever comes. */
async function examine(software: string | undefined, relay: string): Promise<string> {
  const out = new Memory();
  const world: World = {
    env: { PORTHOLE_RELAY: relay, HTTP_PROXY: relay.includes('127.0.0.1') ? '' : `http://127.0.0.1:${port}` },
    cwd: '/',
    home: '/nowhere',
    temporary: '/nowhere',
    uid: 1,
    pid: 1,
    stdin: { async *[Symbol.asyncIterator]() {} },
    stdout: out,
    stderr: new Memory(),
    version: '1.2.3',
    now: () => Date.now(),
    stops: new StopRequests(() => 0),
    verbosity: { level: undefined },
    openOrigin: () => expect.unreachable(),
    openLink: (_choice, events: LinkEvents) => ({
      start: () => events.onConnected({ resumed: false, carrier: 'upgrade', rttMs: 3, relaySoftware: software }),
      openTunnel: (_claim, _origin, { onRefused }) => {
        onRefused('RELAY_FULL', '');
        return { id: 1, release: () => {} };
      },
      close: () => Promise.resolve(),
    }),
  };
  await runDoctor({}, world);
  expect(out.listenerCount('error')).toBe(1);
  return out.text;
}

describe('porthole doctor', () => {
  it('notes a relay of another release, and not one that differs in its last number only', async () => {
    const here = `http://127.0.0.1:${port}`;
    expect(await examine('porthole-relay/1.3.0', here)).toMatch(
      /^note {2}token .*1\.3\.0, here 1\.2\.3 \[VERSION_DIFFERS\]$/m,
    );
    expect(await examine('porthole-relay/1.2.9', here)).toMatch(/^ok {4}token /m);
    expect(await examine(undefined, here)).toMatch(/^ok {4}token .*does not say its version$/m);
  });

  it('notes a relay elsewhere that is reached without encryption', async () => {
    expect(await examine('porthole-relay/1.2.3', 'http://relay.example.com')).toMatch(
      /^note {2}encryption .*\[NO_ENCRYPTION\]$/m,
    );
  });
});
