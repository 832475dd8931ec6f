/**
 * A visitor on a raw socket: sends exact bytes to the relay's public port and reads answers with a parser of its own,
 * deliberately naive, which shares no code with what is tested.
 */
import { readChunked } from './raw-origin.ts';
import { DEFAULT_DEADLINE_MS } from './until.ts';
import { type Wire, connectWire } from './wire.ts';

export interface RawAnswer {
  /** Status line and fields with the empty line, latin1, byte for byte. */
  readonly head: string;
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: Buffer;
  /** The chunks as they were framed (chunked bodies only). */
  readonly chunks: readonly Buffer[];
  readonly trailers: string;
  /** How the body was framed. */
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
  /** First value of a field, whatever the case of its name. */
  field(name: string): string | undefined;
  /** Every value of a field. */
  all(name: string): string[];
}

export interface ReadAnswerOptions {
  /** Answers to HEAD have no body. Default GET. */
  readonly method?: string;
  readonly deadlineMs?: number;
}

/** Connects to the port of `url` on 127.0.0.1, whatever its host name is. */
export function connectVisitor(url: string | number): Promise<Wire> {
  const port = typeof url === 'number' ? url : Number(new URL(url).port);
  return connectWire({ host: '127.0.0.1', port });
}

/** The next answer on this socket, interim ones (1xx except 101) included: ask again for the final one. */
export async function readAnswer(wire: Wire, options: ReadAnswerOptions = {}): Promise<RawAnswer> {
  const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
  const answer = parseAnswerHead((await wire.readUntil('\r\n\r\n', deadlineMs)).toString('latin1'));
  const framing = framingOf(answer, options.method ?? 'GET');
  if (framing === 'none') return { ...answer, framing, body: Buffer.alloc(0), chunks: [], trailers: '' };
  if (framing === 'length') {
    const body = Buffer.from(await wire.readBytes(Number(answer.field('content-length')), deadlineMs));
    return { ...answer, framing, body, chunks: [], trailers: '' };
  }
  if (framing === 'chunked') return { ...answer, framing, ...(await readChunked(wire, deadlineMs)) };
  return { ...answer, framing, body: Buffer.from(await wire.readToEnd(deadlineMs)), chunks: [], trailers: '' };
}

/** Reads a head only; the body stays unread on the wire. */
export async function readAnswerHead(
  wire: Wire,
  deadlineMs = DEFAULT_DEADLINE_MS,
): Promise<ReturnType<typeof parseAnswerHead>> {
  return parseAnswerHead((await wire.readUntil('\r\n\r\n', deadlineMs)).toString('latin1'));
}

/** One request on a connection of its own, which is closed afterwards. */
export async function askOnce(
  url: string,
  request: string | Buffer,
  options: ReadAnswerOptions = {},
): Promise<RawAnswer> {
  await using wire = await connectVisitor(url);
  await wire.send(request);
  return await readAnswer(wire, options);
}

/** A GET's bytes for the host of `url`, with further header lines (each ending in CRLF). */
export function getRequest(url: string, path = '/', extra = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${extra}\r\n`;
}

/** A POST's bytes with a body and its length. */
export function postRequest(url: string, path: string, body: string, extra = ''): string {
  return `POST ${path} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nContent-Length: ${body.length}\r\n${extra}\r\n${body}`;
}

function parseAnswerHead(head: string) {
  const lines = head.slice(0, -4).split('\r\n');
  const match = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/s.exec(lines[0] ?? '');
  if (match === null) throw new Error(`not an answer: ${JSON.stringify(head.slice(0, 300))}`);
  const fields = lines.slice(1).map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  const all = (name: string): string[] =>
    fields.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  return {
    head,
    status: Number(match[1]),
    reason: match[2] ?? '',
    fields,
    all,
    field: (name: string): string | undefined => all(name)[0],
  };
}

function framingOf(
  answer: { status: number; field(name: string): string | undefined },
  method: string,
): RawAnswer['framing'] {
  if (method === 'HEAD' || answer.status < 200 || answer.status === 204 || answer.status === 304) return 'none';
  if (answer.field('transfer-encoding')?.toLowerCase() === 'chunked') return 'chunked';
  return answer.field('content-length') === undefined ? 'close' : 'length';
}
