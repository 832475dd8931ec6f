/** What a worker says of itself for `/api/status`. Its sessions are passed on as they are: it may be of a later release. */

export interface WorkerStatus {
  readonly version: string;
  readonly uptime_s: number;
  readonly sessions: readonly object[];
  readonly certificates: readonly object[];
  /** How many there was no room for. */
  readonly left_out: { readonly sessions: number; readonly certificates: number };
}

/** Throws TypeError when it is none. */
export function parseWorkerStatus(text: string): WorkerStatus {
  const parsed: unknown = JSON.parse(text);
  if (!isWorkerStatus(parsed)) throw new TypeError('no report of a status');
  return parsed;
}

function isWorkerStatus(value: unknown): value is WorkerStatus {
  if (!isObject(value)) return false;
  const status: Partial<Record<keyof WorkerStatus, unknown>> = value;
  return (
    typeof status.version === 'string' &&
    typeof status.uptime_s === 'number' &&
    isObjects(status.sessions) &&
    isObjects(status.certificates) &&
    isObject(status.left_out) &&
    'sessions' in status.left_out &&
    typeof status.left_out.sessions === 'number' &&
    'certificates' in status.left_out &&
    typeof status.left_out.certificates === 'number'
  );
}

function isObjects(value: unknown): value is readonly object[] {
  return Array.isArray(value) && value.every(isObject);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
