import { EventEmitter } from 'node:events';
import { PortholeError } from '@porthole/agent';
import { describe, expect, it } from 'vitest';
import { Board } from '../board.ts';
import type { LogLevel } from '../settings/config-schema.ts';
import { errorEvent, type CliEvent } from './events.ts';
import { LineWriter, MAX_WAITING, type OutputStream } from './line-writer.ts';
import { openOutput } from './output.ts';
import { plainLines } from './plain-lines.ts';
import { difference } from './screen.ts';
import { screenRows } from './screen-rows.ts';

class FakeStream extends EventEmitter implements OutputStream {
  isTTY = false;
  columns = 80;
  rows = 24;
  writableLength = 0;
  destroyed = false;
  text = '';
  reading = true;
  write(text: string, done?: (error?: Error | null) => void): boolean {
    this.text += text;
    if (!this.reading) this.writableLength += text.length;
    if (done !== undefined && this.reading) setImmediate(done);
    return this.reading;
  }
}

const TUNNEL: CliEvent = {
  event: 'tunnel',
  name: 'brave-otter',
  protocol: 'http',
  url: 'https://brave-otter.t.example',
  target: 'http://localhost:3000',
};
const FAILED: CliEvent = {
  event: 'origin_failed',
  code: 'ORIGIN_REFUSED',
  message: 'The local service refused the connection. (127.0.0.1:3000: ECONNREFUSED; [::1]:3000: ECONNREFUSED)',
  hint: 'Start the service.',
  times: 1,
  target: 'http://localhost:3000',
};
/** What is for those only who look closely. */
const CLOSELY: CliEvent[] = [
  { event: 'connected', carrier: 'upgrade', resumed: false, rtt_ms: 12, relay_software: 'porthole-relay/0.1.0' },
  { event: 'connected', carrier: 'websocket', resumed: true },
  { event: 'exchange', method: 'GET', path: '/', status: 200, ms: 3 },
  { event: 'exchange', method: 'POST', path: '/upload', code: 'ORIGIN_REFUSED', ms: 10_004, tunnel: 'web' },
  { event: 'visit', ms: 7 },
  { event: 'visit', code: 'CANCELLED', ms: 7, tunnel: 'db' },
];
const EVENTS: CliEvent[] = [
  { event: 'note', message: 'using the relay of npm start' },
  TUNNEL,
  { ...TUNNEL, tunnel: 'web' },
  {
    event: 'interrupted',
    code: 'RELAY_UNREACHABLE',
    message: 'The relay could not be reached. (ECONNREFUSED)',
    hint: 'Check the address.',
    next_try_ms: 2100,
    tries: 1,
  },
  {
    event: 'interrupted',
    code: 'SESSION_LOST',
    message: 'Lost.',
    hint: 'Check the address.',
    next_try_ms: 0,
    tries: 12,
  },
  { event: 'resumed', new_session: false },
  { event: 'resumed', new_session: true },
  {
    event: 'refused',
    code: 'NAME_TAKEN',
    message: 'The name is in use by somebody else. (shop)',
    hint: 'Choose another name.',
    target: 'http://localhost:3000',
    tunnel: 'web',
  },
  FAILED,
  { ...FAILED, tunnel: 'web', times: 37 },
  errorEvent(new PortholeError('TOKEN_INVALID')),
  errorEvent(new PortholeError('CONFIG_INVALID', 'porthole.yml:1:1: a: unknown key\nporthole.yml:2:1: b: unknown key')),
  { event: 'closed' },
];

describe('plain lines', () => {
  it('say each event in words', () => {
    expect(EVENTS.flatMap(plainLines).join('\n')).toMatchInlineSnapshot(`
      "using the relay of npm start
      https://brave-otter.t.example -> http://localhost:3000
      https://brave-otter.t.example -> http://localhost:3000 (web)
      No connection to the relay: The relay could not be reached. (ECONNREFUSED) Next try in 2 s. [RELAY_UNREACHABLE]
        Check the address.
      Still no connection to the relay after 12 tries: Lost. Next try at once. [SESSION_LOST]
      Connected again.
      Connected again, with a new session.
      web: refused: The name is in use by somebody else. (shop) [NAME_TAKEN]
        Choose another name.
      http://localhost:3000: The local service refused the connection. (127.0.0.1:3000: ECONNREFUSED; [::1]:3000: ECONNREFUSED) [ORIGIN_REFUSED]
        Start the service.
      web: The local service refused the connection. (127.0.0.1:3000: ECONNREFUSED; [::1]:3000: ECONNREFUSED) [ORIGIN_REFUSED] (37 times)
      porthole: The relay does not know this token. [TOKEN_INVALID]
        Check for a copying mistake, or ask the operator for a new one (\`porthole-relay token add\`).
      porthole: The configuration is not valid. [CONFIG_INVALID]
        porthole.yml:1:1: a: unknown key
        porthole.yml:2:1: b: unknown key
        Correct the places named.
      Stopped."
    `);
  });

  it('say what happens one by one to those who look closely', () => {
    expect(CLOSELY.flatMap(plainLines).join('\n')).toMatchInlineSnapshot(`
      "Connected to porthole-relay/0.1.0: a new session, carried by upgrade, 12 ms away.
      Connected: the session goes on, carried by websocket.
      GET / -> 200 in 3 ms
      web: POST /upload -> ORIGIN_REFUSED in 10004 ms
      connection -> ended in 7 ms
      db: connection -> CANCELLED in 7 ms"
    `);
  });

  it('put addresses on standard output and the rest on standard error', async () => {
    const [out, err] = [new FakeStream(), new FakeStream()];
    const output = openOutput(out, err, 'xterm', { json: false, level: 'info', qr: undefined, now: () => 0 });
    for (const event of EVENTS.slice(0, 4)) output.event(event);
    await output.close();
    expect(out.text).toBe(
      'https://brave-otter.t.example -> http://localhost:3000\nhttps://brave-otter.t.example -> http://localhost:3000 (web)\n',
    );
    expect(err.text).toContain('ECONNREFUSED');
  });

  it('cannot steer the terminal', () => {
    const err = new FakeStream();
    openOutput(new FakeStream(), err, 'xterm', { json: false, level: 'info', qr: undefined, now: () => 0 }).event({
      event: 'note',
      message: 'a\x1b[2Jb\x9bc',
    });
    expect(err.text).toBe('a?[2Jb?c\n');
  });
});

describe('JSON lines', () => {
  it('hold one object each, the tunnel first in the shape that scripts rely on', () => {
    const out = new FakeStream();
    const output = openOutput(out, new FakeStream(), 'xterm', {
      json: true,
      level: 'info',
      qr: undefined,
      now: () => 0,
    });
    for (const event of EVENTS) output.event(event);
    const lines = out.text.trimEnd().split('\n');
    expect(lines[1]).toBe(
      '{"event":"tunnel","name":"brave-otter","protocol":"http","url":"https://brave-otter.t.example","target":"http://localhost:3000"}',
    );
    expect(lines.map((line) => JSON.parse(line))).toEqual(EVENTS);
  });
});

describe('the log level', () => {
  const all = [...EVENTS, ...CLOSELY];
  const kinds = (level: LogLevel, json: boolean): string[] => {
    const [out, err] = [new FakeStream(), new FakeStream()];
    const output = openOutput(out, err, undefined, { json, level, qr: undefined, now: () => 0 });
    return all
      .filter((event) => {
        out.text = err.text = '';
        output.event(event);
        return out.text + err.text !== '';
      })
      .map(({ event }) => event);
  };
  const without = (...left: string[]): string[] => all.map(({ event }) => event).filter((each) => !left.includes(each));

  it.each([true, false])('leaves out what is less urgent, but never an address (json: %s)', (json) => {
    const debug = ['connected', 'exchange', 'visit'];
    const info = ['note', 'closed'];
    expect(kinds('debug', json)).toEqual(without());
    expect(kinds('info', json)).toEqual(without(...debug));
    expect(kinds('warn', json)).toEqual(without(...debug, ...info));
    const warn = ['interrupted', 'resumed', 'origin_failed'];
    expect(kinds('error', json)).toEqual(without(...debug, ...info, ...warn));
    expect(new Set(kinds('error', json))).toEqual(new Set(['tunnel', 'refused', 'error']));
  });

  it('may be another than usual for one event', () => {
    const out = new FakeStream();
    const output = openOutput(out, new FakeStream(), undefined, {
      json: true,
      level: 'info',
      qr: undefined,
      now: () => 0,
    });
    output.event(FAILED, 'debug');
    expect(out.text).toBe('');
  });

  it('of those who want to see everything makes lines in a terminal, too', () => {
    const [out, err] = [new FakeStream(), new FakeStream()];
    out.isTTY = true;
    openOutput(out, err, 'xterm', { json: false, level: 'debug', qr: undefined, now: () => 0 }).watch(boardWithTwo());
    expect(out.text).toBe('');
  });
});

describe('the writer', () => {
  it('keeps a bounded amount for a reader who does not read, and tells him later what he missed', () => {
    const stream = new FakeStream();
    stream.reading = false;
    const writer = new LineWriter(stream, (count) => `missed ${count}\n`);
    for (let i = 0; i < 1_000_000; i++) writer.write('0123456789\n');
    expect(stream.text.length).toBeLessThan(MAX_WAITING + 100);
    const missed = writer.dropped;
    stream.writableLength = 0;
    stream.text = '';
    writer.write('next\n');
    expect(stream.text).toBe(`missed ${missed}\nnext\n`);
    expect(writer.dropped).toBe(0);
  });

  it('goes quiet when the reader has gone', async () => {
    const stream = new FakeStream();
    const writer = new LineWriter(stream, () => '');
    stream.emit('error', new Error('EPIPE'));
    expect(writer.write('x')).toBe(false);
    await writer.flush(10_000);
    expect(stream.text).toBe('');
  });

  it('does not wait for ever at the end', async () => {
    const stream = new FakeStream();
    stream.reading = false;
    const writer = new LineWriter(stream, () => '');
    writer.write('x');
    await writer.flush(1);
  });
});

function boardWithTwo(): Board {
  const board = new Board(
    'https://t.example',
    () => 1000,
    () => {},
  );
  board.claimed(board.addTunnel({ label: 'web', protocol: 'http', target: 'http://localhost:3000' }), 'shop', [
    'https://shop.t.example',
  ]);
  board.addTunnel({ label: 'db', protocol: 'tcp', target: 'localhost:5432' });
  return board;
}

const VIEW = { nowMs: 1000, columns: 60, rows: 24, notes: [], qr: [], phase: 'running' as const };

describe('the screen', () => {
  it('shows the relay and each tunnel', () => {
    const board = boardWithTwo();
    board.connected({ resumed: false, carrier: 'upgrade', rttMs: 12.4 });
    expect(screenRows({ ...VIEW, board }).join('\n')).toMatchInlineSnapshot(`
      "porthole  https://t.example  connected, 12 ms away

        web: https://shop.t.example
          -> http://localhost:3000    0 requests

        db: opening
          -> localhost:5432    0 connections

      Ctrl-C stops"
    `);
  });

  it('says why it is not connected and when it tries again', () => {
    const board = boardWithTwo();
    const reason = new PortholeError('RELAY_UNREACHABLE', 'ECONNREFUSED');
    board.interrupted(reason, 3000);
    expect(screenRows({ ...VIEW, columns: 200, board }).slice(0, 2)).toEqual([
      'porthole  https://t.example  reconnecting in 3 s: The relay could not be reached. (ECONNREFUSED)',
      `  ${reason.hint}`,
    ]);
    expect(screenRows({ ...VIEW, board, phase: 'stopping' }).every((row) => row.length <= 60)).toBe(true);
  });

  it('never has more rows than the terminal, and leaves a QR code out that does not fit', () => {
    const board = boardWithTwo();
    expect(screenRows({ ...VIEW, rows: 5, board }).length).toBeLessThan(5);
    expect(screenRows({ ...VIEW, qr: ['##', '##'], board }).join()).toContain('m##');
    expect(screenRows({ ...VIEW, rows: 10, qr: ['##', '##'], board }).join()).not.toContain('##');
  });

  it('writes only what changed', () => {
    expect(difference(['a', 'b', 'c'], ['a', 'b', 'c'])).toBe('');
    expect(difference([], ['a', 'b'])).toBe('\r\x1b[2Ka\r\n\r\x1b[2Kb\r\n');
    expect(difference(['a', 'b', 'c'], ['a', 'x', 'c'])).toBe('\x1b[2A\r\x1b[2Kx\r\n\r\n');
    expect(difference(['a', 'b', 'c'], ['a'])).toBe('\x1b[2A\x1b[J');
    expect(difference(['a'], ['a', 'b'])).toBe('\r\x1b[2Kb\r\n');
  });

  it('draws each burst of events once, in one synchronized write, and gives the cursor back', async () => {
    const out = new FakeStream();
    out.isTTY = true;
    const output = openOutput(out, new FakeStream(), 'xterm', {
      json: false,
      level: 'info',
      qr: undefined,
      now: () => 1000,
    });
    const board = boardWithTwo();
    output.watch(board);
    const before = out.text.length;
    board.connected({ resumed: false, carrier: 'upgrade', rttMs: undefined });
    for (let i = 0; i < 100; i++) output.event({ event: 'resumed', new_session: false });
    await new Promise((resolve) => setImmediate(resolve));
    expect(out.text.slice(before).split('\x1b[?2026h')).toHaveLength(2);
    await output.close();
    expect(out.text.endsWith('\x1b[?25h')).toBe(true);
    expect(out.listenerCount('resize')).toBe(0);
  });

  it('shows why an origin fails for as long as it does', async () => {
    const out = new FakeStream();
    out.isTTY = true;
    out.columns = 200;
    let nowMs = 0;
    const output = openOutput(out, new FakeStream(), 'xterm', {
      json: false,
      level: 'info',
      qr: undefined,
      now: () => nowMs,
    });
    output.watch(boardWithTwo());
    for (const times of [1, 2]) output.event({ ...FAILED, times });
    await new Promise((resolve) => setImmediate(resolve));
    expect(out.text.match(/ECONNREFUSED; \[::1\]:3000/g)).toHaveLength(1);
    expect(out.text).toContain('(2 times)');
    nowMs = 20_000;
    out.text = '';
    out.emit('resize');
    expect(out.text).toContain('Ctrl-C stops');
    expect(out.text).not.toContain('ECONNREFUSED');
    await output.close();
  });

  it('is plain lines on a terminal that can do nothing', () => {
    const out = new FakeStream();
    out.isTTY = true;
    openOutput(out, new FakeStream(), 'dumb', { json: false, level: 'info', qr: undefined, now: () => 0 }).event(
      TUNNEL,
    );
    expect(out.text).not.toContain('\x1b');
  });
});
