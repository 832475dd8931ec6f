/** A QR code as rows of half blocks; the full block is a light module. */
import { renderUnicodeCompact } from 'uqr';

/** Scheme and host are read in any case; in capitals they make a smaller code, which fits beside the rest on 24 rows. */
export function qrRows(url: string): string[] {
  const { origin, href } = new URL(url);
  const isBare = href === `${origin}/`;
  return renderUnicodeCompact(isBare ? url.toUpperCase() : url, { border: 2 }).split('\n');
}

/** For those who did not ask: nothing for addresses that a telephone cannot open. Each address is drawn once. */
export function qrRowsIfUseful(): (url: string) => string[] {
  let last: { readonly url: string; readonly rows: string[] } | undefined;
  return (url) => {
    if (last?.url !== url) last = { url, rows: isForTelephones(url) ? qrRows(url) : [] };
    return last.rows;
  };
}

function isForTelephones(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return (
    protocol === 'https:' &&
    hostname !== 'localhost' &&
    !hostname.endsWith('.localhost') &&
    !/^127\.|^\[/.test(hostname)
  );
}
