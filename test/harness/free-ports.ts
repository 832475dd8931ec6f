/**
 * Ports that must be known before anybody listens: the range of a relay's TCP tunnels, a port where nobody answers yet. They
 * lie outside the range that the kernel gives out by itself, and each worker of the test runner has a share of its own, so
 * that what was free a moment ago still is.
 */
import { createServer } from 'node:net';
import { once } from 'node:events';

const LOW = 20_000;
const HIGH = 32_000;
const WORKERS = 8;
const SHARE = (HIGH - LOW) / WORKERS;

/** Goes round in the share, so that no test file is given the same port twice. */
let next = Math.floor(Math.random() * SHARE);

export async function freePortRange(count: number): Promise<{ readonly first: number; readonly last: number }> {
  const low = LOW + (Number(process.env['VITEST_POOL_ID'] ?? 0) % WORKERS) * SHARE;
  for (let attempt = 0; attempt < 50; attempt++) {
    if (next + count > SHARE) next = 0;
    const first = low + next;
    next += count;
    const free = await Promise.all(Array.from({ length: count }, (_unused, i) => isFree(first + i)));
    if (free.every(Boolean)) return { first, last: first + count - 1 };
  }
  throw new Error(`no ${count} free ports in a row between ${low} and ${low + SHARE}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '0.0.0.0');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    if (server.listening) {
      server.close();
      await once(server, 'close');
    }
  }
}
