import { describe, expect, it } from 'vitest';
import { PortholeError } from '@porthole/protocol';
import { createLog, type Log, type LogLevel } from './log.ts';
import { linesThatFit } from './lines-that-fit.ts';
import { Metrics, METRICS_CONTENT_TYPE } from './metrics.ts';
import { addProcessMetrics } from './process-metrics.ts';

const TOKEN = `ph_${'a'.repeat(12)}_${'S3cr3t-_'.repeat(6).slice(0, 43)}`;

function logTo(lines: string[], level: LogLevel = 'debug'): Log {
  return createLog(level, { write: (line) => lines.push(line) });
}

describe('the log', () => {
  it('writes one JSON line per event with level and time', () => {
    const lines: string[] = [];
    logTo(lines).info({ event: 'tunnel opened', name: 'shop' });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      event: 'tunnel opened',
      name: 'shop',
    });
    expect(lines[0]?.endsWith('\n')).toBe(true);
  });

  it('writes nothing below its level, and knows it before anything is made', () => {
    const lines: string[] = [];
    const log = logTo(lines, 'warn');
    log.info({ event: 'x' });
    log.debug({ event: 'x' });
    expect(log.isDebug).toBe(false);
    logTo(lines, 'off').error({ event: 'x' });
    expect(lines).toEqual([]);
    log.warn({ event: 'x' });
    expect(lines).toHaveLength(1);
  });

  it('keeps tokens and other secrets out, wherever they stand', () => {
    const lines: string[] = [];
    const log = logTo(lines);
    log.info({
      event: 'a',
      token: TOKEN,
      authorization: 'Bearer abc',
      secret: 'hush',
      inner: { cookie: 'sid=1', password: 'p' },
    });
    log.error({
      event: 'b',
      err: new PortholeError('TOKEN_INVALID', `it was ${TOKEN}`),
      path: `/x?token=${TOKEN}&y`,
      url: `x${TOKEN}`,
    });
    const text = lines.join('');
    expect(text).not.toContain(TOKEN.slice(16));
    for (const secret of ['Bearer', 'hush', 'sid=1', '"p"']) expect(text).not.toContain(secret);
    expect(text).toContain('ph_aaaaaaaaaaaa_***');
  });

  it('gives errors their code and stack', () => {
    const lines: string[] = [];
    logTo(lines).error({
      event: 'fault',
      err: new PortholeError('STORE_FAILED', 'full', { cause: new Error('disk') }),
    });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      err: { code: 'STORE_FAILED', stack: expect.stringContaining('disk') },
    });
  });
});

describe('metrics', () => {
  it('are read when they are asked for', async () => {
    const metrics = new Metrics();
    let count = 1;
    metrics.counter({ name: 'porthole_things_total', help: 'Things.', read: () => count });
    metrics.counter({ name: 'porthole_codes_total', help: 'Codes.', label: 'code', read: () => ({ A: count, B: 2 }) });
    metrics.gauge({ name: 'porthole_open', help: 'Open.', read: () => ({}) });
    expect(await metrics.render()).toContain('porthole_things_total 1');
    count = 5;
    const text = await metrics.render();
    expect(text).toContain('porthole_things_total 5');
    expect(text).toContain('porthole_codes_total{code="A"} 5');
    expect(text).toContain('porthole_codes_total{code="B"} 2');
    expect(text).not.toContain('porthole_open');
    expect(METRICS_CONTENT_TYPE).toMatch(/^text\/plain/);
  });

  it('have names that say what they are', () => {
    const metrics = new Metrics();
    const options = { help: '', read: () => 0 };
    for (const name of ['porthole_things', 'things_total', 'porthole_Things_total'])
      expect(() => metrics.counter({ ...options, name })).toThrow(name);
    expect(() => metrics.gauge({ ...options, name: 'porthole_things_total' })).toThrow();
  });

  it('show the process', async () => {
    const metrics = new Metrics();
    addProcessMetrics(metrics);
    expect(await metrics.render()).toMatch(/process_resident_memory_bytes \d{6,}/);
  });
});

describe('lines that fit', () => {
  it('are the first ones, and no more than there is room for', () => {
    const lines = Array.from({ length: 100 }, (_unused, id) => ({ id: id + 100 }));
    const { fit, leftOut, chars } = linesThatFit(lines, 333);
    expect(fit).toEqual(lines.slice(0, fit.length));
    expect(fit.length + leftOut).toBe(100);
    expect(JSON.stringify(fit).length - 1).toBe(chars);
    expect(chars).toBeLessThanOrEqual(333);
    expect(chars).toBeGreaterThan(333 - 12);
    expect(linesThatFit(lines, Number.POSITIVE_INFINITY).leftOut).toBe(0);
  });
});
