/** A session of two lanes, one of which loses its carrier for good while the other stands. */
import { expect, it } from 'vitest';
import { beginSession, tryResume } from '../../harness/hand-made-session.ts';
import { dialCarrier, HEAD, OPEN, PING } from '../../harness/raw-carrier.ts';
import { connectVisitor, postRequest, readAnswer } from '../../harness/raw-visitor.ts';
import { startRelay } from '../../harness/relay.ts';

const END = 1;

it('the visitors of the lost lane hear of it after the grace time, those of the other notice nothing', async () => {
  await using relay = await startRelay({ config: { grace: '500ms', heartbeat: '60s' } });
  const dial = (): ReturnType<typeof dialCarrier> => dialCarrier(relay.port);
  const owner = await beginSession(dial, await relay.addToken('ada'));
  await using first = owner.carrier;
  const url = await first.claim('laned');
  const { carrier: second } = await tryResume(dial, owner, { lane: 1, epoch: 1, received: 0 });
  // Streams go to the lanes in turns; what is no GET is not tried again.
  await using one = await connectVisitor(url);
  await one.send(postRequest(url, '/', 'x'));
  await using other = await connectVisitor(url);
  await other.send(postRequest(url, '/', 'x'));
  const standing = await first.nextOf(OPEN);
  await second.nextOf(OPEN);
  await second.close();
  const answers = [one, other].map((visitor) => readAnswer(visitor));
  const ended = await Promise.race(answers);
  expect([ended.status, ended.field('porthole-error')]).toEqual([502, 'SESSION_LOST']);
  await first.send(PING, Buffer.alloc(8));
  await first.send(HEAD, '200\0OK\0Content-Length: 0\r\n', standing.stream, END);
  expect((await Promise.all(answers)).map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 502]);
});
