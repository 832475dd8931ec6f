/** A folder as an origin: `porthole serve <dir>` answers visitors from files, with no local port and no HTTP server. */
import { randomBytes } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import {
  encodeResponse,
  PortholeError,
  type ExchangeRequest,
  type Origin,
  type RawOpening,
  type Stream,
  type StreamSink,
} from '@porthole/agent';
import { fileAnswer, plainAnswer, textAnswer, type Answer } from './answer.ts';
import type { FieldReader } from './conditions.ts';
import { contentTypeOf } from './content-types.ts';
import { Flow, sendParts, type BodyPart } from './file-body.ts';
import { locate, statusOfFault, type Located } from './locate.ts';
import { listingPage, readListing } from './pages.ts';
import { encodePath, parseRequestPath, type RequestPath } from './request-path.ts';

export interface FolderOriginOptions {
  /** Show what is in a folder that has no `index.html`. Default true. */
  readonly listing?: boolean;
  /** Serve names that begin with a dot. Default false. */
  readonly dotfiles?: boolean;
}

type LocatedFile = Extract<Located, { kind: 'file' }>;
type Found = { readonly answer: Answer; readonly file?: LocatedFile };

export class FolderOrigin implements Origin {
  readonly #root: string;
  readonly #listing: boolean;
  readonly #dotfiles: boolean;

  private constructor(root: string, options: FolderOriginOptions) {
    this.#root = root;
    this.#listing = options.listing ?? true;
    this.#dotfiles = options.dotfiles ?? false;
  }

  /** Throws PortholeError FILE_UNREADABLE when `folder` is not a folder. */
  static async open(folder: string, options: FolderOriginOptions = {}): Promise<FolderOrigin> {
    try {
      const root = await realpath(folder);
      if ((await stat(root)).isDirectory()) return new FolderOrigin(root, options);
    } catch (cause) {
      throw new PortholeError('FILE_UNREADABLE', `${folder} cannot be opened`, { cause });
    }
    throw new PortholeError('FILE_UNREADABLE', `${folder} is not a folder`);
  }

  openExchange(request: ExchangeRequest, stream: Stream): StreamSink {
    const flow = new Flow();
    this.#answer(request, stream, flow).catch((cause: unknown) => {
      stream.reset('INTERNAL', cause instanceof Error ? cause.message : '');
    });
    return new RequestBodySink(stream, flow);
  }

  openRaw(_opening: RawOpening, stream: Stream): StreamSink {
    const flow = new Flow();
    stream.reset('NOT_SUPPORTED', 'a folder answers HTTP only');
    return new RequestBodySink(stream, flow);
  }

  close(): void {}

  async #answer(request: ExchangeRequest, stream: Stream, flow: Flow): Promise<void> {
    const { answer, file } = await this.#find(request);
    try {
      if (flow.over) return;
      await send(request, answer, file, stream, flow);
    } finally {
      await file?.handle.close();
    }
  }

  async #find(request: ExchangeRequest): Promise<Found> {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return { answer: plainAnswer(405, ['Allow', 'GET, HEAD']) };
    const path = parseRequestPath(request.target);
    if (!path.ok) return { answer: plainAnswer(path.status) };
    const found = await locate(this.#root, path.segments, this.#dotfiles);
    switch (found.kind) {
      case 'refused':
        return { answer: refusal(found.status) };
      case 'folder':
        return this.#findInFolder(request, path, found.path);
      case 'file':
        if (!path.folder) return fileFound(request, found, path.segments.at(-1) ?? '');
        await found.handle.close();
        return { answer: plainAnswer(404) };
    }
  }

  async #findInFolder(request: ExchangeRequest, path: RequestPath, folder: string): Promise<Found> {
    // Relative links of a page in the folder need the slash. `encodePath` never begins with two slashes.
    if (!path.folder && path.segments.length > 0) {
      return { answer: plainAnswer(301, ['Location', `${encodePath(path.segments)}/${path.query}`]) };
    }
    const index = await locate(this.#root, [...path.segments, 'index.html'], this.#dotfiles);
    if (index.kind === 'file') return fileFound(request, index, 'index.html');
    if (index.kind === 'refused' && index.status !== 404) return { answer: refusal(index.status) };
    if (!this.#listing) return { answer: plainAnswer(404) };
    try {
      const listing = await readListing(this.#root, folder, this.#dotfiles);
      return { answer: textAnswer(200, listingPage(path.segments, listing), 'text/html; charset=utf-8') };
    } catch (cause) {
      return { answer: refusal(statusOfFault(cause)) };
    }
  }
}

function refusal(status: number): Answer {
  return status === 503 ? plainAnswer(503, ['Retry-After', '1']) : plainAnswer(status);
}

function fileFound(request: ExchangeRequest, file: LocatedFile, name: string): Found {
  const boundary = randomBytes(12).toString('hex');
  return {
    answer: fileAnswer(fieldReader(request.fields), request.method, file.stats, contentTypeOf(name), boundary),
    file,
  };
}

async function send(
  request: ExchangeRequest,
  answer: Answer,
  file: LocatedFile | undefined,
  stream: Stream,
  flow: Flow,
): Promise<void> {
  const fields = [...answer.fields, 'Date', new Date().toUTCString()];
  stream.sendHead(encodeResponse({ status: answer.status, reason: answer.reason, fields }));
  if (request.method === 'HEAD') return stream.end();
  if (file === undefined) {
    for (const part of answer.parts) if (typeof part === 'string') stream.write(Buffer.from(part));
    return stream.end();
  }
  await sendFile(file, answer.parts, stream, flow);
}

/** A file that ends early must not look like a clean end to the visitor. */
async function sendFile(file: LocatedFile, parts: readonly BodyPart[], stream: Stream, flow: Flow): Promise<void> {
  try {
    if (await sendParts(file.handle, parts, stream, flow)) stream.end();
  } catch (cause) {
    stream.reset('ORIGIN_TRUNCATED', cause instanceof Error ? cause.message : '');
  }
}

function fieldReader(fields: readonly string[]): FieldReader {
  return (name) => {
    let value: string | undefined;
    for (let at = 0; at + 1 < fields.length; at += 2) {
      if (fields[at]?.toLowerCase() !== name) continue;
      value = value === undefined ? fields[at + 1] : `${value}, ${fields[at + 1]}`;
    }
    return value;
  };
}

/** Nobody here reads a request's body: its bytes are given back at once so that the visitor is never stuck sending. */
class RequestBodySink implements StreamSink {
  readonly #stream: Stream;
  readonly #flow: Flow;

  constructor(stream: Stream, flow: Flow) {
    this.#stream = stream;
    this.#flow = flow;
  }

  onHead(): void {}
  onData(chunk: Buffer): void {
    this.#stream.consumed(chunk.length);
  }
  onTrailers(): void {}
  onEnd(): void {}
  onReset(): void {
    this.#flow.finish();
  }
  onWritable(): void {
    this.#flow.writable();
  }
}
