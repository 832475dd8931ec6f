/**
 * Ports for TCP tunnels. A relay's port range is configuration, so it cannot be 0: ports outside the range that the
 * kernel gives out by itself are tried until enough in a row are free.
 */
import { createServer } from 'node:net';
import { once } from 'node:events';

const LOW = 20_000;
const HIGH = 32_000;

export async function freePortRange(count: number): Promise<{ readonly first: number; readonly last: number }> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = LOW + Math.floor(Math.random() * (HIGH - LOW - count));
    const free = await Promise.all(Array.from({ length: count }, (_unused, i) => isFree(first + i)));
    if (free.every(Boolean)) return { first, last: first + count - 1 };
  }
  throw new Error(`no ${count} free ports in a row between ${LOW} and ${HIGH}`);
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
