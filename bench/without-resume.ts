/**
 * Loaded in front of relay and agent by `resume-cost.ts`: takes out of their sessions what resume and liveness need.
 * Nothing is kept for a resume, nothing is acknowledged, no round trip is measured, nobody is pinged.
 */
import { Batch } from '../packages/protocol/src/batch.ts';
import { FRAME } from '../packages/protocol/src/frame.ts';
import { Lane } from '../packages/protocol/src/lane.ts';
import { ReplayBuffer } from '../packages/protocol/src/replay-buffer.ts';

/** A frame that holds one number, all but acknowledgements. */
const { numberFrame } = Batch.prototype;
Batch.prototype.numberFrame = function (type, streamId, value): void {
  if (type !== FRAME.ack) numberFrame.call(this, type, streamId, value);
};
// What is not kept needs no position either: the lane sees that everything has arrived.
ReplayBuffer.prototype.push = () => {};
Lane.prototype.ping = () => {};
Object.defineProperty(Lane.prototype, 'ackPending', { get: () => false });
