/** Agents' upgrades beyond the handshakes that one address may have under way. */
import { expect, it } from 'vitest';
import { openSockets } from '../harness/process-usage.ts';
import { connectVisitor, readAnswerHead } from '../harness/raw-visitor.ts';
import { startRelay } from '../harness/relay.ts';
import { until } from '../harness/until.ts';
import type { Wire } from '../harness/wire.ts';

const HANDSHAKES_PER_ADDRESS = 256;

it('are answered 503 and leave no socket behind', async () => {
  await using relay = await startRelay({ config: { limits: { handshake_timeout: '60s' } } });
  const before = openSockets(relay.pid);
  const upgrade = async (): Promise<[Wire, number]> => {
    const wire = await connectVisitor(relay.url);
    await wire.send(
      `GET /.well-known/porthole HTTP/1.1\r\nHost: ${new URL(relay.url).host}\r\nConnection: Upgrade\r\nUpgrade: porthole\r\n\r\n`,
    );
    return [wire, (await readAnswerHead(wire)).status];
  };
  const silent = await Promise.all(Array.from({ length: HANDSHAKES_PER_ADDRESS }, upgrade));
  expect(new Set(silent.map(([, status]) => status))).toEqual(new Set([101]));
  const refused = await Promise.all(Array.from({ length: 50 }, upgrade));
  expect(new Set(refused.map(([, status]) => status))).toEqual(new Set([503]));
  await Promise.all([...refused, ...silent].map(([wire]) => wire.close()));
  await until('their sockets are closed', () => openSockets(relay.pid) <= before);
});
