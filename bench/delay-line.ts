/**
 * A TCP line with a delay: everything that arrives on one side leaves on the other after the one-way time, in order and
 * at any rate. It holds at most `HELD_BYTES` per direction, then stops reading, as a long line with a full pipe would.
 *
 *   node delay-line.ts <listen-port> <target-port> <one-way-ms>
 */
import { connect, createServer, type Socket } from 'node:net';
import { pathToFileURL } from 'node:url';

/** 100 ms at 640 MB/s: enough not to be what limits. */
const HELD_BYTES = 64 * 1024 * 1024;

interface Held {
  readonly dueAt: number;
  /** Undefined: the end of this direction. */
  readonly chunk: Buffer | undefined;
}

export function joinWithDelay(from: Socket, to: Socket, oneWayMs: number): void {
  let held: Held[] = [];
  let heldBytes = 0;
  let timer: NodeJS.Timeout | undefined;

  const release = (): void => {
    timer = undefined;
    const now = performance.now();
    let count = 0;
    to.cork();
    for (const item of held) {
      if (item.dueAt > now) break;
      count += 1;
      if (item.chunk === undefined) to.end();
      else {
        heldBytes -= item.chunk.length;
        if (!to.destroyed) to.write(item.chunk);
      }
    }
    to.uncork();
    held = held.slice(count);
    if (from.isPaused() && heldBytes + to.writableLength < HELD_BYTES / 2) from.resume();
    schedule();
  };
  const schedule = (): void => {
    const next = held[0];
    if (timer !== undefined || next === undefined) return;
    timer = setTimeout(release, Math.max(0, next.dueAt - performance.now()));
  };

  from.on('data', (chunk: Buffer) => {
    held.push({ dueAt: performance.now() + oneWayMs, chunk });
    heldBytes += chunk.length;
    if (heldBytes + to.writableLength > HELD_BYTES) from.pause();
    schedule();
  });
  from.on('end', () => {
    held.push({ dueAt: performance.now() + oneWayMs, chunk: undefined });
    schedule();
  });
  to.on('drain', () => {
    if (heldBytes + to.writableLength < HELD_BYTES / 2) from.resume();
  });
  from.on('close', (failed: boolean) => {
    if (!failed) return;
    clearTimeout(timer);
    to.destroy();
  });
  from.on('error', () => to.destroy());
}

function serve(listenPort: number, targetPort: number, oneWayMs: number): void {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    joinWithDelay(near, far, oneWayMs);
    joinWithDelay(far, near, oneWayMs);
  });
  server.listen(listenPort, '127.0.0.1', () => console.log('delay line ready'));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [listenPort, targetPort, oneWayMs] = process.argv.slice(2).map(Number) as [number, number, number];
  serve(listenPort, targetPort, oneWayMs);
}
