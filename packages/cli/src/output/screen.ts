/** Keeps a few rows at the bottom of the terminal up to date: only rows that changed are written, in one go. */
import type { LineWriter } from './line-writer.ts';

const SYNC_ON = '\x1b[?2026h';
const SYNC_OFF = '\x1b[?2026l';
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

export class Screen {
  readonly #writer: LineWriter;
  #shown: readonly string[] = [];
  #opened = false;

  constructor(writer: LineWriter) {
    this.#writer = writer;
  }

  draw(rows: readonly string[]): void {
    const text = difference(this.#shown, rows);
    if (text === '') return;
    // A frame that is left out must not count as shown: the next one starts from what is really there.
    if (this.#writer.write(`${SYNC_ON}${this.#opened ? '' : HIDE_CURSOR}${text}${SYNC_OFF}`)) {
      this.#opened = true;
      this.#shown = rows;
    }
  }

  /** After a change of size nothing on the terminal stands where it stood. */
  repaint(rows: readonly string[]): void {
    const up = this.#shown.length === 0 ? '' : `\x1b[${this.#shown.length}A`;
    if (this.#writer.write(`${SYNC_ON}\r${up}\x1b[J${difference([], rows)}${SYNC_OFF}`)) this.#shown = rows;
  }

  /** The last picture stays on the terminal. */
  close(): void {
    if (this.#opened) this.#writer.write(SHOW_CURSOR);
    this.#opened = false;
  }
}

/** Control text that turns `shown` (the cursor is below it) into `rows`; empty when they are equal. */
export function difference(shown: readonly string[], rows: readonly string[]): string {
  const first = rows.findIndex((row, index) => row !== shown[index]);
  if (first === -1 && rows.length >= shown.length) return '';
  const from = first === -1 ? rows.length : first;
  let text = shown.length > from ? `\x1b[${shown.length - from}A` : '';
  for (let index = from; index < rows.length; index++) {
    text += rows[index] === shown[index] ? '\r\n' : `\r\x1b[2K${rows[index]}\r\n`;
  }
  return rows.length < shown.length ? `${text}\x1b[J` : text;
}
