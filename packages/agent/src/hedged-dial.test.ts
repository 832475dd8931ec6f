import { describe, expect, it } from 'vitest';
import { hedgedDial } from './hedged-dial.ts';

/** Attempts that are settled by hand. */
function attempts() {
  const made: (PromiseWithResolvers<string> & { signal: AbortSignal })[] = [];
  const reached = Promise.withResolvers<void>();
  return {
    made,
    second: reached.promise,
    attempt: (signal: AbortSignal): Promise<string> => {
      const one = { ...Promise.withResolvers<string>(), signal };
      made.push(one);
      if (made.length === 2) reached.resolve();
      return one.promise;
    },
  };
}

const never = new AbortController().signal;

describe('hedgedDial', () => {
  it('takes the attempt that gets through, though an earlier one still hangs', async () => {
    const { made, second, attempt } = attempts();
    const discarded: string[] = [];
    const dialed = hedgedDial(attempt, (late) => discarded.push(late), never, 5);
    await second;
    made[1]?.resolve('second');
    expect(await dialed).toBe('second');
    expect(made[0]?.signal.aborted).toBe(true);
    made[0]?.resolve('first');
    await made[0]?.promise;
    expect(discarded).toEqual(['first']);
  });

  it('fails as the first attempt that fails', async () => {
    const { made, attempt } = attempts();
    const dialed = hedgedDial(attempt, () => undefined, never);
    made[0]?.reject(new Error('refused'));
    await expect(dialed).rejects.toThrow('refused');
    expect(made).toHaveLength(1);
  });

  it('passes its own signal on', () => {
    const { made, attempt } = attempts();
    const giveUp = new AbortController();
    const dialed = hedgedDial(attempt, () => undefined, giveUp.signal);
    giveUp.abort();
    expect(made[0]?.signal.aborted).toBe(true);
    made[0]?.reject(new Error('aborted'));
    return expect(dialed).rejects.toThrow('aborted');
  });
});
