/**
 * What a worker is asked about itself, and its answers: in parts, so that no message is long and claims do not wait
 * behind one, bounded in all, and with a time limit, because a worker may hang.
 */

/** `pulse`: only that it answers. */
export type ReportKind = 'pulse' | 'metrics' | 'status';

export interface ReportRequest {
  readonly type: 'report';
  readonly kind: ReportKind;
  /** How long the answer may be, in UTF-16 code units. */
  readonly maxChars: number;
}

/** Parts of one answer follow each other. */
export interface ReportPart {
  readonly type: 'reported';
  readonly kind: ReportKind;
  readonly text: string;
  readonly isLast: boolean;
}

const PART_CHARS = 64 * 1024;
/** What is longer is no report of ours. */
export const MAX_REPORT_CHARS = 16 * 1024 * 1024;

export function* reportParts(kind: ReportKind, report: string): Iterable<ReportPart> {
  for (let at = 0; at === 0 || at < report.length; at += PART_CHARS) {
    const isLast = at + PART_CHARS >= report.length;
    yield { type: 'reported', kind, text: report.slice(at, at + PART_CHARS), isLast };
  }
}

/**
 * Hears of every answer, those that nobody asked for or waits for any more included. False: it cannot be understood,
 * which is the same as no answer.
 */
export type OnReport = (kind: ReportKind, report: string) => boolean;

/** One worker's answers. Undefined means that there was none in time. */
export class WorkerReports {
  readonly #send: (request: ReportRequest) => void;
  readonly #onReport: OnReport;
  /** One unanswered request of each kind at most: whoever asks meanwhile waits for the same answer. */
  readonly #asked = new Map<ReportKind, PromiseWithResolvers<string | undefined>>();
  readonly #begun = new Map<ReportKind, string>();
  #isOver = false;

  constructor(send: (request: ReportRequest) => void, onReport: OnReport) {
    this.#send = send;
    this.#onReport = onReport;
  }

  async ask(kind: ReportKind, limitMs: number, maxChars = MAX_REPORT_CHARS): Promise<string | undefined> {
    if (this.#isOver) return undefined;
    let asked = this.#asked.get(kind);
    if (asked === undefined) {
      asked = Promise.withResolvers();
      this.#asked.set(kind, asked);
      this.#send({ type: 'report', kind, maxChars });
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, limitMs, undefined);
    });
    const answer = await Promise.race([asked.promise, late]);
    clearTimeout(timer);
    return answer;
  }

  take({ kind, text, isLast }: ReportPart): void {
    const begun = this.#begun.get(kind) ?? '';
    const report = begun.length > MAX_REPORT_CHARS ? begun : begun + text;
    if (!isLast) {
      this.#begun.set(kind, report);
      return;
    }
    this.#begun.delete(kind);
    const isUnderstood = report.length <= MAX_REPORT_CHARS && this.#onReport(kind, report);
    this.#asked.get(kind)?.resolve(isUnderstood ? report : undefined);
    this.#asked.delete(kind);
  }

  /** The worker has ended. */
  end(): void {
    this.#isOver = true;
    for (const { resolve } of this.#asked.values()) resolve(undefined);
    this.#asked.clear();
    this.#begun.clear();
  }
}
