import { EventEmitter } from 'node:events';
import { PortholeError } from '@porthole/agent';
import { describe, expect, it } from 'vitest';
import { Board } from '../board.ts';
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
const EVENTS: CliEvent[] = [
  { event: 'note', message: 'using the relay of npm start' },
  TUNNEL,
  { ...TUNNEL, tunnel: 'web' },
  {
    event: 'interrupted',
    code: 'RELAY_UNREACHABLE',
    message: 'The relay could not be reached. (ECONNREFUSED)',
    next_try_ms: 2100,
  },
  { event: 'interrupted', code: 'SESSION_LOST', message: 'Lost.', next_try_ms: 0 },
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
      No connection to the relay: The relay could not be reached. (ECONNREFUSED) Next try in 2 s.
      No connection to the relay: Lost. Next try at once.
      Connected again.
      Connected again, with a new session.
      web: refused: The name is in use by somebody else. (shop) [NAME_TAKEN]
        Choose another name.
      porthole: The relay does not know this token. [TOKEN_INVALID]
        Check for a copying mistake, or ask the operator for a new one (\`porthole-relay token add\`).
      porthole: The configuration is not valid. [CONFIG_INVALID]
        porthole.yml:1:1: a: unknown key
        porthole.yml:2:1: b: unknown key
        Correct the places named.
      Stopped."
    `);
  });

  it('put addresses on standard output and the rest on standard error', async () => {
    const [out, err] = [new FakeStream(), new FakeStream()];
    const output = openOutput(out, err, 'xterm', { json: false, qr: undefined, now: () => 0 });
    for (const event of EVENTS.slice(0, 4)) output.event(event);
    await output.close();
    expect(out.text).toBe(
      'https://brave-otter.t.example -> http://localhost:3000\nhttps://brave-otter.t.example -> http://localhost:3000 (web)\n',
    );
    expect(err.text).toContain('ECONNREFUSED');
  });

  it('cannot steer the terminal', () => {
    const err = new FakeStream();
    openOutput(new FakeStream(), err, 'xterm', { json: false, qr: undefined, now: () => 0 }).event({
      event: 'note',
      message: 'a\x1b[2Jb\x9bc',
    });
    expect(err.text).toBe('a?[2Jb?c\n');
  });
});

describe('JSON lines', () => {
  it('hold one object each, the tunnel first in the shape that scripts rely on', () => {
    const out = new FakeStream();
    const output = openOutput(out, new FakeStream(), 'xterm', { json: true, qr: undefined, now: () => 0 });
    for (const event of EVENTS) output.event(event);
    const lines = out.text.trimEnd().split('\n');
    expect(lines[1]).toBe(
      '{"event":"tunnel","name":"brave-otter","protocol":"http","url":"https://brave-otter.t.example","target":"http://localhost:3000"}',
    );
    expect(lines.map((line) => JSON.parse(line))).toEqual(EVENTS);
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
    board.interrupted(new PortholeError('RELAY_UNREACHABLE', 'ECONNREFUSED'), 3000);
    expect(screenRows({ ...VIEW, columns: 200, board })[0]).toBe(
      'porthole  https://t.example  reconnecting in 3 s: The relay could not be reached. (ECONNREFUSED)',
    );
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
    const output = openOutput(out, new FakeStream(), 'xterm', { json: false, qr: undefined, now: () => 1000 });
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

  it('is plain lines on a terminal that can do nothing', () => {
    const out = new FakeStream();
    out.isTTY = true;
    openOutput(out, new FakeStream(), 'dumb', { json: false, qr: undefined, now: () => 0 }).event(TUNNEL);
    expect(out.text).not.toContain('\x1b');
  });
});
