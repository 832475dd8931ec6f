import { describe, expect, it } from 'vitest';
import { type Flushable, TurnQueue } from './turn-queue.ts';

function flushable(flush: () => void): Flushable & { error: Error | undefined } {
  return {
    error: undefined,
    flush,
    failed(error) {
      this.error = error;
    },
  };
}

describe('a flush that throws', () => {
  it('is reported, fails for its own, and costs nobody else his turn', async () => {
    const bugs: unknown[] = [];
    const flushed: string[] = [];
    const turns = new TurnQueue((error) => bugs.push(error));
    const fault = new Error('cannot be written');
    const bad = flushable(() => {
      throw fault;
    });
    turns.add(flushable(() => flushed.push('first')));
    turns.add(bad);
    turns.add(flushable(() => flushed.push('second')));
    await new Promise(setImmediate);
    expect(flushed).toEqual(['first', 'second']);
    expect(bad.error).toBe(fault);
    expect(bugs).toEqual([fault]);
    turns.add(flushable(() => flushed.push('next turn')));
    await new Promise(setImmediate);
    expect(flushed).toEqual(['first', 'second', 'next turn']);
    expect(bugs).toHaveLength(1);
  });
});
