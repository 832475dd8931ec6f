/** A QR code as rows of half blocks, dark modules dark whatever the terminal's colours are. */
import { renderUnicodeCompact } from 'uqr';

export function qrRows(url: string): string[] {
  return renderUnicodeCompact(url, { border: 2 }).split('\n');
}
