/** Whoever leaves is noticed on the other side at once, and nothing of him stays. */
import { describe, expect, it } from 'vitest';
import { startAgent } from '../harness/agent.ts';
import { startOrigin } from '../harness/origin.ts';
import { openSockets } from '../harness/process-usage.ts';
import { connectVisitor, getRequest } from '../harness/raw-visitor.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { startRelay } from '../harness/relay.ts';
import { sceneOfFile } from '../harness/scene.ts';
import { settledValue, until, within } from '../harness/until.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const ROUNDS = 200;

const scene = sceneOfFile(() => startOrigin({ keepAliveTimeoutMs: 500 }));

async function backToBaseline(sockets: { relay: number; agent: number }): Promise<void> {
  await until(
    `sockets back to ${JSON.stringify(sockets)}`,
    () =>
      openSockets(scene.stage.relay.pid) <= sockets.relay + 1 &&
      openSockets(scene.stage.agent.pid) <= sockets.agent + 8,
  );
}

const baseline = (): { relay: number; agent: number } => ({
  relay: openSockets(scene.stage.relay.pid),
  agent: openSockets(scene.stage.agent.pid),
});

describe('aborts', () => {
  it(`${ROUNDS} downloads given up in the middle end at the origin, half by FIN and half by RST`, async () => {
    const before = baseline();
    const abandoned = scene.origin.abandoned;
    for (let round = 0; round < ROUNDS / 20; round++) {
      await Promise.all(
        Array.from({ length: 20 }, async (_unused, i) => {
          const visitor = await connectVisitor(scene.stage.url);
          await visitor.send(getRequest(scene.stage.url, `/size/${GIB}`));
          await visitor.untilReceived(20_000);
          if (i % 2 === 0) visitor.reset();
          else await visitor.close();
        }),
      );
    }
    await within(
      'the origin notices all',
      scene.origin.whenever(() => scene.origin.abandoned === abandoned + ROUNDS),
    );
    await backToBaseline(before);
  });

  it(`${ROUNDS} uploads given up in the middle end at the origin`, async () => {
    const before = baseline();
    const abandoned = scene.origin.abandoned;
    for (let round = 0; round < ROUNDS / 20; round++) {
      const seen = scene.origin.seen.length;
      const visitors = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const visitor = await connectVisitor(scene.stage.url);
          await visitor.send(
            `POST /hash HTTP/1.1\r\nHost: ${scene.stage.host}\r\nContent-Length: ${GIB}\r\n\r\n${'x'.repeat(100_000)}`,
          );
          return visitor;
        }),
      );
      await within(
        'the origin has the requests',
        scene.origin.whenever(() => scene.origin.seen.length >= seen + 20),
      );
      for (const visitor of visitors) visitor.reset();
    }
    await within(
      'the origin notices all',
      scene.origin.whenever(() => scene.origin.abandoned === abandoned + ROUNDS),
    );
    await backToBaseline(before);
  });

  it.each(['http', 'tcp'] as const)(
    'an upload over %s that nobody takes is let go of when its visitor gives up',
    async (kind) => {
      await using origin = await startRawOrigin();
      await using relay = await startRelay({ tcpPorts: 1 });
      const token = await relay.addToken('ada', ['--ports', String(relay.ports?.first)]);
      await using agent = await startAgent({ relayUrl: relay.url, kind, target: origin.port, token });
      const { host, port } = new URL(await agent.url());
      await using visitor = await connectVisitor(Number(port));
      const accepted = origin.accept();
      visitor.socket.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${GIB}\r\n\r\n`);
      const taken = await accepted;
      taken.pause();
      for (let sent = 0; sent < 64 * MIB; sent += MIB) visitor.socket.write(Buffer.alloc(MIB));
      // The visitor's own system and process keep what nobody takes.
      expect(await settledValue('what waits', () => visitor.socket.writableLength)).toBeGreaterThan(0);
      visitor.reset();
      await until('the relay has let go', async () => (await relay.metric('porthole_visitors')) === 0);
      taken.resume();
      await taken.untilEnded();
    },
  );

  it('a visitor who leaves while the origin still thinks is noticed', async () => {
    const abandoned = scene.origin.abandoned;
    const visitor = await connectVisitor(scene.stage.url);
    await visitor.send(getRequest(scene.stage.url, '/hold'));
    await within(
      'the request is there',
      scene.origin.whenever(() => scene.origin.seen.at(-1) === 'GET /hold'),
    );
    visitor.reset();
    await within(
      'the origin notices',
      scene.origin.whenever(() => scene.origin.abandoned === abandoned + 1),
    );
  });

  it('a visitor of an event stream who leaves is noticed without any further event', async () => {
    const visitor = await connectVisitor(scene.stage.url);
    await visitor.send(getRequest(scene.stage.url, '/events'));
    await visitor.readUntil('\r\n\r\n');
    await within(
      'the stream is there',
      scene.origin.whenever(() => scene.origin.eventStreams.size === 1),
    );
    await visitor.close();
    await within(
      'the origin notices',
      scene.origin.whenever(() => scene.origin.eventStreams.size === 0),
    );
  });

  it('visitors who connect and say nothing, or half a head, cost nothing once they are gone', async () => {
    const before = baseline();
    for (let round = 0; round < 10; round++) {
      const visitors = await Promise.all(Array.from({ length: 50 }, () => connectVisitor(scene.stage.url)));
      for (const [i, visitor] of visitors.entries()) if (i % 2 === 0) await visitor.send('GET / HTTP/1.1\r\nHo');
      for (const visitor of visitors) visitor.reset();
    }
    await backToBaseline(before);
  });

  it('agent and relay are alive and well afterwards', async () => {
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(getRequest(scene.stage.url, '/size/5'));
    await visitor.readUntil('\r\n\r\n');
    expect([scene.stage.relay.program.exit, scene.stage.agent.program.exit]).toEqual([undefined, undefined]);
    expect(scene.stage.agent.program.errorLines.join('\n')).not.toMatch(/MaxListeners|Unhandled|TypeError/);
    expect(scene.stage.relay.program.errorLines.join('\n')).not.toMatch(/MaxListeners|Unhandled|TypeError/);
  });
});
