/** A slow reader costs no more than his window, slows nobody, and nothing is spooled to disk. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startOrigin } from '../harness/origin.ts';
import { residentBytes } from '../harness/process-usage.ts';
import { patternSlice } from '../harness/random.ts';
import { type RawOrigin, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest } from '../harness/raw-visitor.ts';
import { sceneOfFile } from '../harness/scene.ts';
import { settledValue } from '../harness/until.ts';
import { startAgent } from '../harness/agent.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const READERS = 20;

const scene = sceneOfFile(startOrigin);

describe('slow visitors', () => {
  it(`${READERS} who stop reading a 4 GiB download leave relay and agent small, and others fast`, async () => {
    for (let i = 0; i < 20; i++) await askOnce(scene.stage.url, getRequest(scene.stage.url, `/size/${MIB}`));
    const before = { relay: residentBytes(scene.stage.relay.pid), agent: residentBytes(scene.stage.agent.pid) };
    const visitors = await Promise.all(
      Array.from({ length: READERS }, async () => {
        const visitor = await connectVisitor(scene.stage.url);
        visitor.socket.once('data', () => visitor.pause());
        await visitor.send(getRequest(scene.stage.url, `/size/${4 * GIB}`));
        return visitor;
      }),
    );
    for (const visitor of visitors) await visitor.untilReceived(1);
    await settledValue('memory', () =>
      Math.round((residentBytes(scene.stage.relay.pid) + residentBytes(scene.stage.agent.pid)) / (8 * MIB)),
    );
    expect((residentBytes(scene.stage.relay.pid) - before.relay) / MIB).toBeLessThan(64);
    expect((residentBytes(scene.stage.agent.pid) - before.agent) / MIB).toBeLessThan(96);

    for (let i = 0; i < 20; i++) {
      const answer = await askOnce(scene.stage.url, getRequest(scene.stage.url, '/size/1000'), { deadlineMs: 2_000 });
      expect(answer.body.length).toBe(1000);
    }
    expect(largestFile(scene.stage.relay.dataFolder)).toBeLessThan(8 * MIB);
    for (const visitor of visitors) visitor.reset();
  });

  it('who read on after a pause get every byte', async () => {
    const size = 40 * MIB;
    const visitor = await connectVisitor(scene.stage.url);
    visitor.socket.once('data', () => visitor.pause());
    await visitor.send(getRequest(scene.stage.url, `/size/${size}`));
    await visitor.untilReceived(1);
    visitor.resume();
    await visitor.readUntil('\r\n\r\n');
    expect((await visitor.readBytes(size, 30_000)).equals(patternSlice(0, size))).toBe(true);
    await visitor.close();
  });

  it('a slow origin holds back a fast upload, at little cost', async () => {
    const lazy: RawOrigin = await startRawOrigin();
    const agent = await startAgent({ relayUrl: scene.stage.relay.url, token: scene.stage.token, target: lazy.port });
    const url = await agent.url();
    const before = residentBytes(scene.stage.agent.pid);
    const visitor = await connectVisitor(url);
    await visitor.send(`POST / HTTP/1.1\r\nHost: ${new URL(url).host}\r\nContent-Length: ${4 * GIB}\r\n\r\n`);
    const service = await lazy.accept();
    await service.readUntil('\r\n\r\n');
    service.pause();
    let sent = 0;
    const pump = (): void => {
      while (!visitor.closed && visitor.socket.write(patternSlice(0, 256 * 1024))) sent += 256 * 1024;
    };
    visitor.socket.on('drain', pump);
    pump();
    const held = await settledValue('the upload', () => sent);
    expect(held).toBeLessThan(64 * MIB);
    expect(residentBytes(agent.pid) / MIB).toBeLessThan(before / MIB + 96);
    visitor.reset();
    await service.close();
    await agent.close();
    await lazy.close();
  });
});

function largestFile(folder: string): number {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(0);
  return Math.max(...files.map((entry) => statSync(join(entry.parentPath, entry.name)).size));
}
