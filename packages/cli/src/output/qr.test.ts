import { describe, expect, it } from 'vitest';
import { qrRows, qrRowsIfUseful } from './qr.ts';

describe('the QR code', () => {
  it('of a usual address fits a terminal of 24 rows beside everything else', () => {
    const rows = qrRows('https://brave-otter.tunnel.example.com');
    expect(rows.length).toBeLessThanOrEqual(16);
    expect(new Set(rows.map((row) => row.length))).toEqual(new Set([29]));
  });

  it('keeps the case of a path', () => {
    expect(qrRows('https://a.example/Path')).not.toEqual(qrRows('https://a.example/PATH'));
  });

  it('is drawn unasked for what a telephone can open only', () => {
    const rows = qrRowsIfUseful();
    expect(rows('https://brave-otter.tunnel.example.com').length).toBeGreaterThan(10);
    for (const url of [
      'http://brave-otter.localhost:8080',
      'https://x.localhost',
      'https://127.0.0.1',
      'tcp://t.example:20000',
    ])
      expect(rows(url)).toEqual([]);
  });
});
