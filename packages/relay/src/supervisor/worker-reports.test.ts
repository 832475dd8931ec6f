import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MAX_REPORT_CHARS, type ReportRequest, reportParts, WorkerReports } from './worker-reports.ts';

let sent: ReportRequest[];
let heard: string[];
let reports: WorkerReports;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  heard = [];
  reports = new WorkerReports(
    (request) => sent.push(request),
    (kind, report) => {
      heard.push(`${kind} ${report.length}`);
      return report !== 'nonsense';
    },
  );
});
afterEach(() => {
  vi.useRealTimers();
});

function answer(kind: ReportRequest['kind'], report: string): number {
  const parts = [...reportParts(kind, report)];
  for (const part of parts) reports.take(part);
  return Math.max(...parts.map(({ text }) => text.length));
}

describe('WorkerReports', () => {
  it('puts an answer together from parts that are never long', async () => {
    for (const length of [0, 1, 65_535, 65_536, 65_537, 200_000]) {
      const asked = reports.ask('status', 1_000);
      expect(answer('status', 'x'.repeat(length))).toBeLessThanOrEqual(65_536);
      expect((await asked)?.length).toBe(length);
    }
  });

  it('gives up on a worker that does not answer, and does not ask it twice', async () => {
    const first = reports.ask('metrics', 1_000, 5_000);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await first).toBeUndefined();
    const second = reports.ask('metrics', 1_000);
    expect(sent).toEqual([{ type: 'report', kind: 'metrics', maxChars: 5_000 }]);
    answer('metrics', 'late');
    expect(await second).toBe('late');
    expect(heard).toEqual(['metrics 4']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('takes what is too long, or makes no sense, for no answer', async () => {
    const long = reports.ask('status', 1_000);
    answer('status', 'x'.repeat(MAX_REPORT_CHARS + 1));
    expect(await long).toBeUndefined();
    const odd = reports.ask('status', 1_000);
    answer('status', 'nonsense');
    expect(await odd).toBeUndefined();
    const good = reports.ask('status', 1_000);
    answer('status', 'good');
    expect(await good).toBe('good');
  });

  it('keeps nobody waiting for a worker that has ended', async () => {
    const asked = reports.ask('pulse', 1_000);
    reports.end();
    expect(await asked).toBeUndefined();
    expect(await reports.ask('pulse', 1_000)).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });
});
