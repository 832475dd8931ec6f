import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type LogFields, SILENT_LOG } from './log.ts';
import { ThrottledLog } from './throttled-log.ts';

let lines: LogFields[];
let log: ThrottledLog;

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  log = new ThrottledLog({ ...SILENT_LOG, info: (fields) => lines.push(fields) });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('ThrottledLog', () => {
  it('writes a few lines of one cause in a minute, then how many there were besides', () => {
    for (let i = 0; i < 500; i += 1) log.info('ann', { event: 'claim refused' });
    log.info('bob', { event: 'claim refused' });
    expect(lines).toHaveLength(21);
    vi.advanceTimersByTime(60_000);
    expect(lines.slice(21)).toEqual([{ event: 'lines suppressed', of: 'claim refused', by: 'ann', lines: 480 }]);
    log.info('ann', { event: 'claim refused' });
    expect(lines).toHaveLength(23);
    log.close();
    expect(lines).toHaveLength(23);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stays bounded with any number of causes', () => {
    for (let i = 0; i < 5_000; i += 1) log.info(`192.0.2.${i}`, { event: 'agent refused' });
    expect(lines).toHaveLength(1_000);
    log.close();
    expect(lines.slice(1_000)).toEqual([
      { event: 'lines suppressed', of: 'agent refused', by: 'others', lines: 4_000 },
    ]);
  });
});
