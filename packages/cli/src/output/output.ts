/** Where a running command's events go: JSON lines, plain lines, or a live screen. */
import type { Board } from '../board.ts';
import type { CliEvent } from './events.ts';
import { LineWriter, type OutputStream } from './line-writer.ts';
import { plainLines, printable } from './plain-lines.ts';
import { Screen } from './screen.ts';
import { type Phase, screenRows } from './screen-rows.ts';

export interface Output {
  event(event: CliEvent): void;
  /** Shows the board from now on; only a screen does more than lines. */
  watch(board: Board): void;
  stopping(): void;
  /** Waits a moment for the reader, then gives up on him. */
  close(): Promise<void>;
}

export interface OutputOptions {
  readonly json: boolean;
  /** Makes rows of a QR code; absent when none is wanted. */
  readonly qr: ((url: string) => string[]) | undefined;
  readonly now: () => number;
}

const FLUSH_MS = 500;
const REDRAW_MS = 1000;
const MAX_NOTES = 4;

export function openOutput(
  out: OutputStream,
  err: OutputStream,
  term: string | undefined,
  options: OutputOptions,
): Output {
  if (options.json) return new JsonLines(out);
  return isLive(out, term) ? new LiveScreen(out, options) : new PlainLines(out, err, options);
}

/** Whether there is a terminal that a picture fits on. */
export function isLive({ isTTY, columns = 0, rows = 0 }: OutputStream, term: string | undefined): boolean {
  return isTTY === true && term !== 'dumb' && columns >= 40 && rows >= 8;
}

class JsonLines implements Output {
  readonly #writer: LineWriter;

  constructor(out: OutputStream) {
    this.#writer = new LineWriter(out, (count) => `${JSON.stringify({ event: 'dropped', count })}\n`);
  }

  event(event: CliEvent): void {
    this.#writer.write(`${JSON.stringify(event)}\n`);
  }
  watch(): void {}
  stopping(): void {}
  close(): Promise<void> {
    return this.#writer.flush(FLUSH_MS);
  }
}

function droppedLine(count: number): string {
  return `(${count} lines left out: nobody read them)\n`;
}

/** What went wrong goes to standard error, so that standard output can be read by a script. */
class PlainLines implements Output {
  readonly #out: LineWriter;
  readonly #err: LineWriter;
  readonly #qr: OutputOptions['qr'];

  constructor(out: OutputStream, err: OutputStream, options: OutputOptions) {
    this.#out = new LineWriter(out, droppedLine);
    this.#err = new LineWriter(err, droppedLine);
    this.#qr = options.qr;
  }

  event(event: CliEvent): void {
    const writer = event.event === 'tunnel' ? this.#out : this.#err;
    const lines = plainLines(event).map(printable);
    if (event.event === 'tunnel' && this.#qr !== undefined) lines.push(...this.#qr(event.url));
    writer.write(`${lines.join('\n')}\n`);
  }
  watch(): void {}
  stopping(): void {}
  async close(): Promise<void> {
    await Promise.all([this.#out.flush(FLUSH_MS), this.#err.flush(FLUSH_MS)]);
  }
}

class LiveScreen implements Output {
  readonly #writer: LineWriter;
  readonly #screen: Screen;
  readonly #options: OutputOptions;
  readonly #notes: string[] = [];
  #board: Board | undefined;
  #timer: NodeJS.Timeout | undefined;
  #scheduled = false;
  #phase: Phase = 'running';
  readonly #onResize = (): void => this.#screen.repaint(this.#rows());

  constructor(out: OutputStream, options: OutputOptions) {
    this.#writer = new LineWriter(out, () => '');
    this.#screen = new Screen(this.#writer);
    this.#options = options;
  }

  watch(board: Board): void {
    this.#board = board;
    this.#writer.stream.on('resize', this.#onResize);
    // Unreferenced: a picture of a tunnel must not keep a process alive that has none.
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS).unref();
    this.#draw();
  }

  /** Many events in one turn are one picture. */
  event(event: CliEvent): void {
    if (event.event === 'closed') this.#phase = 'stopped';
    if (event.event === 'note' || event.event === 'refused' || event.event === 'certificate')
      this.#note(plainLines(event));
    if (this.#board === undefined) return this.#lines(event);
    if (event.event === 'error') return this.#fail(event);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#draw());
  }

  stopping(): void {
    this.#phase = 'stopping';
    this.#draw();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#writer.stream.off('resize', this.#onResize);
    if (this.#board !== undefined) this.#draw();
    this.#screen.close();
    await this.#writer.flush(FLUSH_MS);
  }

  #fail(event: CliEvent): void {
    this.#draw();
    this.#lines(event);
    this.#board = undefined;
  }

  #lines(event: CliEvent): void {
    if (event.event !== 'note') this.#writer.write(`${plainLines(event).map(printable).join('\n')}\n`);
  }

  #note(lines: readonly string[]): void {
    this.#notes.push(...lines);
    this.#notes.splice(0, Math.max(0, this.#notes.length - MAX_NOTES));
  }

  #draw(): void {
    this.#scheduled = false;
    if (this.#board !== undefined) this.#screen.draw(this.#rows());
  }

  #rows(): string[] {
    const board = this.#board;
    if (board === undefined) return [];
    const { columns = 80, rows = 24 } = this.#writer.stream;
    const [url] = board.tunnels.flatMap((tunnel) => tunnel.urls);
    const qr = url === undefined || this.#options.qr === undefined ? [] : this.#options.qr(url);
    return screenRows({
      board,
      nowMs: this.#options.now(),
      columns,
      rows,
      notes: this.#notes,
      qr,
      phase: this.#phase,
    });
  }
}
