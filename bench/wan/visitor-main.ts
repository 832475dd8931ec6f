/**
 * Visitors at the relay's end; prints one line of JSON.
 *   rate <host> <port> <name> <seconds> [<stalled>]     one download (name `-`: plain TCP), beside so many that do not read
 *   echo <host> <port> <name> <seconds> idle|down|up    64-byte messages over a WebSocket, beside a bulk transfer
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';

const [mode, host = '', port = '', name = '', seconds = '', extra = ''] = process.argv.slice(2);
const LENGTH_MS = Number(seconds) * 1_000;
/** What TCP and the tunnel need to get to speed is not measured. */
const WARM_MS = 4_000;
const GAP_MS = 50;
const QUIET_BYTES = 50_000;
const PIECE = Buffer.alloc(64 * 1024, 'porthole');
const authority = `${name}:${port}`;

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function open(): Promise<Socket> {
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

async function startDownload(): Promise<Socket> {
  const socket = await open();
  socket.write(name === '-' ? 'd' : `GET /bulk HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  return socket;
}

async function startUpload(): Promise<Socket> {
  const socket = await open();
  socket.resume();
  socket.write(`POST /take HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: 100000000000\r\n\r\n`);
  const pour = (): void => {
    while (socket.writable) if (!socket.write(PIECE)) return void socket.once('drain', pour);
  };
  pour();
  return socket;
}

/** What has come over the line so far (each network namespace has its own counters). */
function receivedBytes(): number {
  const line = readFileSync('/proc/net/dev', 'latin1')
    .split('\n')
    .find((each) => each.includes('wan0:'));
  return Number(line?.split(':')[1]?.trim().split(/\s+/)[0]);
}

/** Until the windows and the kernel's buffers of those who do not read are full. */
async function untilQuiet(): Promise<void> {
  for (let last = receivedBytes(); ; ) {
    await after(1_500);
    const now = receivedBytes();
    if (now - last < QUIET_BYTES) return;
    last = now;
  }
}

/** Bytes per second of one download, once it is at speed. */
async function rate(stalled: number): Promise<Record<string, number>> {
  const waiting = await Promise.all(Array.from({ length: stalled }, startDownload));
  for (const socket of waiting) socket.pause();
  if (stalled > 0) await untilQuiet();
  const socket = await startDownload();
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  await after(WARM_MS);
  const [since, before] = [performance.now(), bytes];
  await after(LENGTH_MS);
  const mbit = ((bytes - before) * 8) / (performance.now() - since) / 1_000;
  return { mbit };
}

/** Round trips in ms of small messages. */
async function echo(beside: string): Promise<Record<string, number>> {
  const socket = new WebSocket(`ws://${authority}/`, {
    lookup: (_name, options, done) =>
      options.all === true ? done(null, [{ address: host, family: 4 }]) : done(null, host, 4),
  });
  await once(socket, 'open');
  if (beside === 'down') (await startDownload()).resume();
  if (beside === 'up') await startUpload();
  if (beside !== 'idle') await after(WARM_MS);
  const times: number[] = [];
  const message = Buffer.alloc(64, 'x');
  const end = performance.now() + LENGTH_MS;
  while (performance.now() < end) {
    const since = performance.now();
    const answered = once(socket, 'message');
    socket.send(message);
    await answered;
    times.push(performance.now() - since);
    await after(GAP_MS);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN;
  return { median: at(0.5), p95: at(0.95), count: times.length };
}

const result = mode === 'rate' ? await rate(Number(extra === '' ? 0 : extra)) : await echo(extra);
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
