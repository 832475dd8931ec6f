/** The rows over TLS: visitors' leg and carrier are encrypted, and both public legs of the two nginx. */
import { fileURLToPath } from 'node:url';
import { wrk } from './load.ts';
import { inTurns } from './rounds.ts';
import { competitors, inMegabytes, requestRate, type RowKind } from './row-kind.ts';
import { h2load, newHandshakes, secureDownload } from './secure-load.ts';
import { FILES } from './topologies/nginx.ts';

const tlsRow = requestRate({
  name: 'tls-64',
  title: 'TLS: 35 bytes, 64 connections',
  atLeast: 1,
  paths: (setting) => setting.securePaths(),
  measure: async (to, seconds) => (await wrk(to.files, '/small', 64, seconds)).requestsPerSecond,
});

const h2Row = requestRate({
  name: 'h2',
  title: 'HTTP/2 over TLS: 35 bytes, 10 connections x 32 streams',
  atLeast: 0.8,
  paths: (setting) => setting.securePaths(),
  measure: (to, seconds) => h2load(to.files, '/small', 10, 32, seconds),
});

const tlsDownloadRow: RowKind = {
  name: 'tls-download',
  measure: async ({ securePaths, scale }) => {
    const all = competitors(await securePaths(), (to) => secureDownload(to.files, `/${scale.bulk}`, FILES[scale.bulk]));
    return {
      title: `TLS: one download, ${scale.bulk}`,
      unit: 'MB/s',
      values: inMegabytes(await inTurns(all, scale.rounds)),
      digits: 0,
      target: { kind: 'ratio', atLeast: 0.8 },
    };
  },
};

const handshakesRow: RowKind = {
  name: 'handshakes',
  measure: async ({ securePaths, scale }) => {
    const all = competitors(await securePaths(), (to) => newHandshakes(to.files, Math.ceil(scale.seconds / 2)));
    return {
      title: 'TLS: full handshakes',
      unit: 'per s',
      values: await inTurns(all, scale.rounds),
      digits: 0,
      target: { kind: 'none' },
    };
  },
};

const SNI = fileURLToPath(new URL('sni-main.ts', import.meta.url));
const CERTIFICATES = 5_000;

const sniRow: RowKind = {
  name: 'sni',
  measure: async ({ bench }) => {
    const program = bench.startNode(SNI, [String(CERTIFICATES)]);
    const match = await program.line(/p99 ([\d.]+) ms/);
    return {
      title: `p99 of the choice among ${CERTIFICATES} certificates in use`,
      unit: 'ms',
      values: new Map([['porthole', [Number(match[1])]]]),
      digits: 4,
      target: { kind: 'most', value: 1 },
    };
  },
};

export const secureRows: readonly RowKind[] = [tlsRow, tlsDownloadRow, h2Row, handshakesRow, sniRow];
