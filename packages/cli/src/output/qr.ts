/** A QR code as rows of half blocks; the full block is a light module. */
import { renderUnicodeCompact } from 'uqr';

export function qrRows(url: string): string[] {
  return renderUnicodeCompact(url, { border: 2 }).split('\n');
}
