import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { PortholeError } from '../errors.ts';
import { encodeFrame, FRAME } from '../frame.ts';
import type { Lane } from '../lane.ts';
import { type Carrier, type CarrierReceiver, LanePump } from '../node.ts';
import { Session } from '../session.ts';

const HEARTBEAT_MS = 1_000;

class SilentCarrier implements Carrier {
  readonly kind = 'upgrade';
  readonly remoteAddress = '';
  readonly pendingBytes = 0;
  receiver: CarrierReceiver | undefined;
  destroyed = false;
  written = 0;
  write(buffers: Buffer[]): boolean {
    for (const buffer of buffers) this.written += buffer.length;
    return true;
  }
  keyingMaterial(): undefined {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.destroyed = true;
  }
}

function setUp() {
  const nobody = {
    onOpen: () => expect.fail(),
    onMessage: () => {},
    onGoAway: () => {},
    onClosed: () => {},
    onWantWrite: () => {},
    onFault: () => {},
  };
  const session = new Session({ role: 'agent', now: () => performance.now() }, nobody);
  const lane = session.lanes[0] as Lane;
  lane.attach(0);
  const carrier = new SilentCarrier();
  const detached: (PortholeError | undefined)[] = [];
  const pump = new LanePump(lane, carrier, HEARTBEAT_MS, {
    onDetached: (reason) => detached.push(reason),
    onViolation: () => expect.fail(),
  });
  return { pump, carrier, detached, hear: () => pump.onBytes(PONG) };
}

/** A PONG frame: eight bytes of head, eight of echo. */
const PONG = Buffer.from('4300000800000000' + '0000000000000001', 'hex');

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'performance'],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('LanePump', () => {
  it('asks for a sign of life within a heartbeat, and drops a silent carrier within two', () => {
    const { carrier, detached } = setUp();
    vi.advanceTimersByTime(1);
    const before = carrier.written;
    vi.advanceTimersByTime(HEARTBEAT_MS - 1);
    expect(carrier.destroyed).toBe(false);
    expect(before).toBeGreaterThan(0);
    vi.advanceTimersByTime(HEARTBEAT_MS);
    expect(carrier.destroyed).toBe(true);
    expect(detached.map((reason) => reason?.code)).toEqual(['RELAY_UNREACHABLE']);
  });

  it('keeps a carrier as long as anything is heard', () => {
    const { carrier, hear } = setUp();
    for (let i = 0; i < 20; i += 1) {
      vi.advanceTimersByTime(HEARTBEAT_MS * 1.4);
      hear();
    }
    expect(carrier.destroyed).toBe(false);
  });

  it('drops a carrier in doubt when it does not answer in the time given, and keeps one that does', () => {
    const silent = setUp();
    silent.pump.probe(300);
    vi.advanceTimersByTime(299);
    expect(silent.carrier.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(silent.detached).toHaveLength(1);

    const alive = setUp();
    alive.pump.probe(300);
    vi.advanceTimersByTime(100);
    alive.hear();
    vi.advanceTimersByTime(300);
    expect(alive.detached).toHaveLength(0);
    alive.pump.stop();
  });
});

describe('a bug met by what the other end sent', () => {
  it('ends the session it came on, and is not thrown at the socket', () => {
    const bug = new TypeError('bug');
    const session = new Session(
      { role: 'relay', now: () => performance.now() },
      {
        onOpen: () => expect.fail(),
        onMessage: () => {
          throw bug;
        },
        onGoAway: () => {},
        onClosed: () => {},
        onWantWrite: () => {},
        onFault: () => {},
      },
    );
    const lane = session.lanes[0] as Lane;
    lane.attach(0);
    const violations: PortholeError[] = [];
    const pump = new LanePump(lane, new SilentCarrier(), HEARTBEAT_MS, {
      onDetached: () => {},
      onViolation: (error) => violations.push(error),
    });
    pump.onBytes(encodeFrame(FRAME.message, 0, Buffer.from('{"type":"release","id":1}')));
    expect(violations.map(({ code, cause }) => [code, cause])).toEqual([['INTERNAL', bug]]);
    pump.stop();
  });
});
