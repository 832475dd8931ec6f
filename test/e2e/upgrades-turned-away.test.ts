/** Agents' upgrades that come to nothing: an answer that says why, and nothing left of them. */
import { expect, it } from 'vitest';
import { openSockets } from '../harness/process-usage.ts';
import { askOnce, connectVisitor, type RawAnswer, readAnswer, readAnswerHead } from '../harness/raw-visitor.ts';
import { startRelay } from '../harness/relay.ts';
import { until } from '../harness/until.ts';

const HANDSHAKES_PER_ADDRESS = 256;

function upgrade(url: string, protocol: string): string {
  return `GET /.well-known/porthole HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;
}

function expectOwn(answer: RawAnswer, status: number, code: string): void {
  expect([answer.status, answer.field('porthole-error')]).toEqual([status, code]);
  expect(answer.field('cache-control')).toBe('no-store');
  expect(answer.body.toString()).toContain(`${code}: `);
}

it('beyond the handshakes that one address may have under way leave no socket behind', async () => {
  await using relay = await startRelay({ config: { limits: { handshake_timeout: '60s' } } });
  const before = openSockets(relay.pid);
  const silent = await Promise.all(
    Array.from({ length: HANDSHAKES_PER_ADDRESS }, async () => {
      const wire = await connectVisitor(relay.url);
      await wire.send(upgrade(relay.url, 'porthole'));
      expect((await readAnswerHead(wire)).status).toBe(101);
      return wire;
    }),
  );
  const refused = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const wire = await connectVisitor(relay.url);
      await wire.send(upgrade(relay.url, 'porthole'));
      const answer = await readAnswer(wire);
      expectOwn(answer, 503, 'RELAY_FULL');
      expect(answer.field('retry-after')).toBe('5');
      return wire;
    }),
  );
  await Promise.all([...refused, ...silent].map((wire) => wire.close()));
  await until('their sockets are closed', () => openSockets(relay.pid) <= before);
});

it('that are no proper WebSockets say what is wrong', async () => {
  await using relay = await startRelay();
  const answer = await askOnce(relay.url, upgrade(relay.url, 'websocket'));
  expectOwn(answer, 400, 'BAD_REQUEST');
  expect(answer.body.toString()).toContain('Sec-WebSocket-Key');
});
