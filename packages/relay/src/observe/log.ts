/**
 * The relay's log: one JSON line per event on standard error. Secrets are struck out twice: by the names of fields,
 * and by the shape of a token wherever it stands.
 */
import pino from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'off';

export interface LogFields {
  /** What happened, in a few lower-case words that never change: `session opened`. */
  readonly event: string;
  readonly err?: unknown;
  readonly [field: string]: unknown;
}

export interface Log {
  /** Whether `debug` goes anywhere. On busy paths ask before making the fields. */
  readonly isDebug: boolean;
  debug(fields: LogFields): void;
  info(fields: LogFields): void;
  warn(fields: LogFields): void;
  error(fields: LogFields): void;
}

/** Where lines go: given by `main.ts`, or by a test. */
export interface LogDestination {
  write(line: string): void;
}

/** How much waits for a reader that does not read; what comes then is dropped, and the relay goes on. */
const MAX_WAITING_BYTES = 1024 * 1024;
const FLUSH_PATIENCE_MS = 500;

export interface LogOutput extends LogDestination {
  /** Lines lost because nobody read. */
  readonly dropped: number;
  /** Resolves when everything is written, or after half a second. */
  flush(): Promise<void>;
}

/** Writes to a file descriptor without ever blocking or failing the process: an unread or closed pipe costs lines only. */
export function openLogOutput(descriptor: number): LogOutput {
  const output = pino.destination({ dest: descriptor, sync: false, maxLength: MAX_WAITING_BYTES });
  let dropped = 0;
  output.on('drop', () => {
    dropped += 1;
  });
  output.on('error', () => {
    dropped += 1;
  });
  return {
    get dropped() {
      return dropped;
    },
    write: (line) => void output.write(line),
    flush: () =>
      new Promise((resolve) => {
        setTimeout(resolve, FLUSH_PATIENCE_MS).unref();
        output.flush(() => resolve());
      }),
  };
}

const SECRET_FIELDS = ['token', 'secret', 'authorization', 'cookie', 'password', 'proof'];
const TOKEN = /ph_([a-z2-7]{12})_[A-Za-z0-9_-]{43}/g;

export function createLog(level: LogLevel, destination: LogDestination): Log {
  const logger = pino(
    {
      level: level === 'off' ? 'silent' : level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '***' },
    },
    { write: (line: string) => destination.write(strikeTokens(line)) },
  );
  return {
    isDebug: logger.isLevelEnabled('debug'),
    debug: (fields) => logger.debug(fields),
    info: (fields) => logger.info(fields),
    warn: (fields) => logger.warn(fields),
    error: (fields) => logger.error(fields),
  };
}

/** For parts that are built without a log. */
export const SILENT_LOG: Log = { isDebug: false, debug() {}, info() {}, warn() {}, error() {} };

/** Keeps the id, which is what one looks for. */
export function strikeTokens(line: string): string {
  return line.includes('ph_') ? line.replace(TOKEN, 'ph_$1_***') : line;
}
