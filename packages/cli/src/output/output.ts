/** Where a running command's events go: JSON lines, plain lines, or a live screen. */
import type { Board } from '../board.ts';
import { type CliEvent, levelOf } from './events.ts';
import { LOG_LEVELS, type LogLevel } from '../settings/config-schema.ts';
import { LineWriter, type OutputStream } from './line-writer.ts';
import { plainLines, printable } from './plain-lines.ts';
import { Screen } from './screen.ts';
import { type Phase, screenRows } from './screen-rows.ts';

export interface Output {
  /** `level` where it is not the event's own; what is beyond the level that was asked for is left out. */
  event(event: CliEvent, level?: LogLevel): void;
  /** Shows the board from now on; only a screen does more than lines. */
  watch(board: Board): void;
  stopping(): void;
  /** Waits a moment for the reader, then gives up on him. */
  close(): Promise<void>;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly level: LogLevel;
  /** Makes rows of a QR code; absent when none is wanted. */
  readonly qr: ((url: string) => string[]) | undefined;
  readonly now: () => number;
}

const FLUSH_MS = 500;
const REDRAW_MS = 1000;
const MAX_NOTES = 4;
/** A failing origin is told of every ten seconds; what was not told again is over. */
const TROUBLE_MS = 15_000;

export function openOutput(
  out: OutputStream,
  err: OutputStream,
  term: string | undefined,
  options: OutputOptions,
): Output {
  if (options.json) return new JsonLines(out, options);
  // Who wants to see all there is wants to read it, not to watch the last of it.
  return isLive(out, term) && options.level !== 'debug'
    ? new LiveScreen(out, options)
    : new PlainLines(out, err, options);
}

function isWithin(level: LogLevel, asked: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(asked);
}

/** Whether there is a terminal that a picture fits on. */
export function isLive({ isTTY, columns = 0, rows = 0 }: OutputStream, term: string | undefined): boolean {
  return isTTY === true && term !== 'dumb' && columns >= 40 && rows >= 8;
}

class JsonLines implements Output {
  readonly #writer: LineWriter;
  readonly #level: LogLevel;

  constructor(out: OutputStream, { level }: OutputOptions) {
    this.#writer = new LineWriter(out, (count) => `${JSON.stringify({ event: 'dropped', count })}\n`);
    this.#level = level;
  }

  event(event: CliEvent, level = levelOf(event)): void {
    if (isWithin(level, this.#level)) this.#writer.write(`${JSON.stringify(event)}\n`);
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
  readonly #options: OutputOptions;

  constructor(out: OutputStream, err: OutputStream, options: OutputOptions) {
    this.#out = new LineWriter(out, droppedLine);
    this.#err = new LineWriter(err, droppedLine);
    this.#options = options;
  }

  event(event: CliEvent, level = levelOf(event)): void {
    const { qr } = this.#options;
    if (!isWithin(level, this.#options.level)) return;
    const writer = event.event === 'tunnel' ? this.#out : this.#err;
    const lines = plainLines(event).map(printable);
    if (event.event === 'tunnel' && qr !== undefined) lines.push(...qr(event.url));
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
  #trouble: { readonly lines: readonly string[]; readonly untilMs: number } | undefined;
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
  event(event: CliEvent, level = levelOf(event)): void {
    const isShown = isWithin(level, this.#options.level);
    if (event.event === 'closed') this.#phase = 'stopped';
    if (isShown) this.#keep(event);
    if (this.#board === undefined) return isShown ? this.#lines(event) : undefined;
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

  #keep(event: CliEvent): void {
    if (event.event === 'origin_failed')
      this.#trouble = { lines: plainLines(event), untilMs: this.#options.now() + TROUBLE_MS };
    if (event.event !== 'note' && event.event !== 'refused' && event.event !== 'certificate') return;
    this.#notes.push(...plainLines(event));
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
    const nowMs = this.#options.now();
    const trouble = this.#trouble !== undefined && nowMs < this.#trouble.untilMs ? this.#trouble.lines : [];
    const [url] = board.tunnels.flatMap((tunnel) => tunnel.urls);
    const qr = url === undefined || this.#options.qr === undefined ? [] : this.#options.qr(url);
    return screenRows({
      board,
      nowMs,
      columns,
      rows,
      notes: [...this.#notes, ...trouble],
      qr,
      phase: this.#phase,
    });
  }
}
