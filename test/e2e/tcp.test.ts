/** TCP tunnels: raw bytes both ways, half-close kept, port scope, aborts. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refusingPort } from '../harness/bad-origin.ts';
import { type AgentUnderTest, launchAgent, startAgent } from '../harness/agent.ts';
import { patternBody, patternSha256, patternSlice } from '../harness/random.ts';
import { type RawOrigin, startRawOrigin } from '../harness/raw-origin.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { settledValue, within } from '../harness/until.ts';
import { type Wire, connectWire } from '../harness/wire.ts';

const MIB = 1024 * 1024;

let relay: RelayUnderTest;
let token: string;
let origin: RawOrigin;
let agent: AgentUnderTest;
let port: number;

beforeAll(async () => {
  relay = await startRelay({ tcpPorts: 6 });
  token = await relay.addToken('ada', ['--ports', `${relay.ports?.first}-${relay.ports?.last}`]);
  origin = await startRawOrigin();
  agent = await startAgent({ relayUrl: relay.url, kind: 'tcp', target: origin.port, token });
  port = Number(new URL(await agent.url()).port);
});
afterAll(async () => {
  await agent?.close();
  await relay?.close();
  await origin?.close();
});

/** A visitor and the origin's side of the same connection. */
async function pair(): Promise<{ visitor: Wire; service: Wire } & AsyncDisposable> {
  const visitor = await connectWire({ host: '127.0.0.1', port });
  await visitor.send('!');
  const service = await origin.accept();
  await service.readBytes(1);
  return {
    visitor,
    service,
    [Symbol.asyncDispose]: async () => {
      await visitor.close();
      await service.close();
    },
  };
}

describe('a TCP tunnel', () => {
  it('announces its port', async () => {
    const { url } = await agent.event('tunnel');
    expect(url).toBe(`tcp://localhost:${port}`);
    expect(port).toBeGreaterThanOrEqual(relay.ports?.first ?? Number.NaN);
    expect(port).toBeLessThanOrEqual(relay.ports?.last ?? Number.NaN);
  });

  it('lets the service speak first', async () => {
    await using visitor = await connectWire({ host: '127.0.0.1', port });
    const service = await origin.accept();
    await service.send('220 ready\r\n');
    await visitor.readUntil('220 ready\r\n');
    await service.close();
  });

  it('keeps the direction to the visitor open after the visitor has ended his', async () => {
    await using both = await pair();
    await both.visitor.send('question');
    both.visitor.end();
    expect((await both.service.readToEnd()).toString()).toBe('question');
    for (let i = 0; i < 10; i++) {
      await both.service.send(`part ${i};`);
      await both.visitor.readUntil(`part ${i};`);
    }
    both.service.end();
    await both.visitor.untilEnded();
    await both.visitor.untilClosed();
  });

  it('keeps the direction to the service open after the service has ended its', async () => {
    await using both = await pair();
    await both.service.send('goodbye');
    both.service.end();
    expect((await both.visitor.readToEnd()).toString()).toBe('goodbye');
    for (let i = 0; i < 10; i++) {
      await both.visitor.send(`part ${i};`);
      await both.service.readUntil(`part ${i};`);
    }
    both.visitor.end();
    await both.service.untilClosed();
  });

  it('loses nothing when the last bytes and the end come together, 500 times', async () => {
    for (let i = 0; i < 500; i++) {
      const visitor = await connectWire({ host: '127.0.0.1', port });
      const service = await origin.accept();
      service.socket.end(patternSlice(0, 3000));
      expect(await visitor.readToEnd()).toEqual(patternSlice(0, 3000));
      visitor.end();
      await visitor.untilClosed();
    }
  });

  it('carries 64 MiB both ways at once, unchanged', async () => {
    await using both = await pair();
    const size = 64 * MIB;
    const receive = async (wire: Wire): Promise<string> => {
      const hash = createHash('sha256');
      wire.socket.on('data', (chunk) => {
        hash.update(chunk);
        wire.take();
      });
      await wire.untilEnded(60_000);
      return hash.digest('hex');
    };
    const send = async (wire: Wire): Promise<void> => {
      for (const piece of patternBody(size, 256 * 1024)) await wire.send(piece);
      wire.end();
    };
    const [up, down] = await Promise.all([
      receive(both.service),
      receive(both.visitor),
      send(both.visitor),
      send(both.service),
    ]);
    expect([up, down]).toEqual([patternSha256(size), patternSha256(size)]);
  });

  it('passes a reset in either direction', async () => {
    await using first = await pair();
    first.visitor.reset();
    await first.service.untilClosed();
    await using second = await pair();
    second.service.reset();
    await second.visitor.untilClosed();
  });

  it('holds back a sender whose reader stands still, and goes on where it stopped', async () => {
    await using both = await pair();
    both.visitor.pause();
    const size = 80 * MIB;
    let sent = 0;
    const sending = (async () => {
      for (const piece of patternBody(size, 256 * 1024)) {
        await both.service.send(piece);
        sent += piece.length;
      }
      both.service.end();
    })();
    const held = await settledValue('the sender', () => sent);
    expect(held).toBeLessThan(48 * MIB);
    const hash = createHash('sha256');
    both.visitor.socket.on('data', (chunk) => {
      hash.update(chunk);
      both.visitor.take();
    });
    both.visitor.resume();
    await both.visitor.untilEnded(60_000);
    await sending;
    expect(hash.digest('hex')).toBe(patternSha256(size));
  });

  it('ends a visitor when nobody listens behind the agent, after waiting for it', async () => {
    await using deaf = await startAgent({ relayUrl: relay.url, kind: 'tcp', target: await refusingPort(), token });
    const deafPort = Number(new URL(await deaf.url()).port);
    await using visitor = await connectWire({ host: '127.0.0.1', port: deafPort });
    await visitor.untilEnded(20_000);
  });

  it('takes a wanted port, refuses one outside the scope and one that is taken by somebody else', async () => {
    const wanted = relay.ports?.last ?? 0;
    await using chosen = await startAgent({
      relayUrl: relay.url,
      kind: 'tcp',
      target: origin.port,
      token,
      args: ['--remote-port', String(wanted)],
    });
    expect(new URL(await chosen.url()).port).toBe(String(wanted));
    const other = await relay.addToken('bob', ['--ports', `${relay.ports?.first}-${relay.ports?.last}`]);
    for (const [what, code] of [
      [String(wanted), 'PORT_TAKEN'],
      ['1', 'PORT_NOT_ALLOWED'],
    ] as const) {
      await using refused = launchAgent({
        relayUrl: relay.url,
        kind: 'tcp',
        target: origin.port,
        token: other,
        args: ['--remote-port', what],
      });
      expect((await refused.program.exited).code).toBe(3);
      expect(refused.program.tail()).toContain(code);
    }
  });

  it('closes its port when the agent stops', async () => {
    const brief = await startAgent({ relayUrl: relay.url, kind: 'tcp', target: origin.port, token });
    const briefPort = Number(new URL(await brief.url()).port);
    await brief.close();
    await within(
      'the port is closed',
      (async () => {
        for (;;) {
          try {
            await (await connectWire({ host: '127.0.0.1', port: briefPort })).close();
          } catch {
            return;
          }
        }
      })(),
    );
  });
});
