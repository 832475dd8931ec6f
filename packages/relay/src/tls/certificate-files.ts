/**
 * Certificates the operator brings as files. They are looked at every few seconds, because renewing programs replace
 * them in ways that file watching misses; a pair that does not fit together is reported and the old one stays.
 */
import { createPrivateKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { PortholeError } from '@porthole/protocol';
import { checkCertificate, invalid } from '@porthole/acme';
import type { ServedCertificate } from './certificate-index.ts';

export interface CertificateFilePair {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface CertificateFilesOptions {
  readonly pairs: readonly CertificateFilePair[];
  readonly onLoaded: (certificate: ServedCertificate) => void;
  /** A pair changed and cannot be used; told once per change. */
  readonly onProblem: (pair: CertificateFilePair, error: PortholeError) => void;
  /** Default 5,000. */
  readonly pollMs?: number;
  readonly now?: () => number;
}

const FILE_PRIORITY = 1;
const MAX_FILE_BYTES = 256 * 1024;

export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  readonly #seen = new Map<CertificateFilePair, string>();
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;

  constructor(options: CertificateFilesOptions) {
    this.#options = options;
  }

  /** Rejects with FILE_UNREADABLE or CERTIFICATE_INVALID when any pair cannot be used at the start. */
  async start(): Promise<void> {
    for (const pair of this.#options.pairs) {
      this.#seen.set(pair, await fingerprint(pair));
      this.#options.onLoaded(await this.#load(pair));
    }
    if (this.#options.pairs.length === 0) return;
    this.#timer = setInterval(() => void this.check(), this.#options.pollMs ?? 5000);
    this.#timer.unref();
  }

  /** Looks at the files now; for a signal, and for the timer. Never rejects. */
  async check(): Promise<void> {
    this.#checking ??= this.#checkAll().finally(() => {
      this.#checking = undefined;
    });
    await this.#checking;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #checkAll(): Promise<void> {
    for (const pair of this.#options.pairs) {
      let now = '';
      try {
        now = await fingerprint(pair);
        if (now === this.#seen.get(pair)) continue;
        this.#options.onLoaded(await this.#load(pair));
      } catch (error) {
        if (this.#seen.get(pair) !== now)
          this.#options.onProblem(pair, error instanceof PortholeError ? error : invalid(String(error)));
      }
      this.#seen.set(pair, now);
    }
  }

  async #load(pair: CertificateFilePair): Promise<ServedCertificate> {
    const chainPem = await readSmall(pair.certificateFile);
    const keyPem = await readSmall(pair.keyFile);
    try {
      const nowMs = (this.#options.now ?? Date.now)();
      const { names, notAfterMs } = checkCertificate({ chainPem, privateKey: readKey(keyPem), names: [], nowMs });
      if (names.length === 0) throw invalid('it names no host (no subjectAltName)');
      return { id: `file:${pair.certificateFile}`, names, keyPem, chainPem, notAfterMs, priority: FILE_PRIORITY };
    } catch (error) {
      if (!(error instanceof PortholeError)) throw error;
      throw invalid(`${pair.certificateFile} with ${pair.keyFile}: ${error.detail}`, error);
    }
  }
}

function readKey(pem: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw invalid('the key cannot be read (a PEM without passphrase is expected)', error);
  }
}

async function fingerprint({ certificateFile, keyFile }: CertificateFilePair): Promise<string> {
  const parts = await Promise.all(
    [certificateFile, keyFile].map(async (file) => {
      const { mtimeMs, size, ino } = await stat(file).catch((error: unknown) => {
        throw unreadable(file, error);
      });
      return `${mtimeMs} ${size} ${ino}`;
    }),
  );
  return parts.join(' ');
}

async function readSmall(file: string): Promise<string> {
  const text = await readFile(file, 'latin1').catch((error: unknown) => {
    throw unreadable(file, error);
  });
  if (text.length > MAX_FILE_BYTES) throw invalid(`${file} is larger than ${MAX_FILE_BYTES} bytes`);
  return text;
}

function unreadable(file: string, cause: unknown): PortholeError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  return new PortholeError('FILE_UNREADABLE', `${file}: ${code}`, { cause });
}
