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
