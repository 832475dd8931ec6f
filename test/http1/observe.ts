/** Runs a reader over chunks and writes down everything that can be seen of it, in a shape that compares. */
import { PortholeError, type ErrorCode } from '@porthole/protocol';
import {
  DEFAULT_HEAD_LIMITS,
  DEFAULT_RESPONSE_LIMITS,
  RequestReader,
  ResponseReader,
  type Fields,
  type HeadLimits,
  type ReaderStage,
  type RequestHead,
  type ResponseHead,
  type ResponseLimits,
} from '@porthole/protocol/http1';

export interface Message<Head> {
  readonly head: Head;
  /** Latin1, framing removed. */
  body: string;
  trailers: Fields;
  complete: boolean;
}

export interface RequestsSeen {
  readonly messages: Message<RequestHead>[];
  /** What follows an upgrade request, latin1. */
  rest: string;
  stage: ReaderStage;
  fault: ErrorCode | undefined;
}

/** Reads requests until an upgrade, a fault or the end. Anything thrown but a PortholeError goes through. */
export function observeRequests(chunks: readonly Buffer[], limits: HeadLimits = DEFAULT_HEAD_LIMITS): RequestsSeen {
  const seen: RequestsSeen = { messages: [], rest: '', stage: 'idle', fault: undefined };
  const last = (): Message<RequestHead> => seen.messages.at(-1) as Message<RequestHead>;
  const reader = new RequestReader(limits, {
    onHead: (head) => seen.messages.push({ head: requestInFull(head), body: '', trailers: [], complete: false }),
    onBody: (chunk) => {
      if (chunk.length === 0) throw new Error('an empty body chunk');
      last().body += chunk.toString('latin1');
    },
    onTrailers: (fields) => {
      last().trailers = fields;
    },
    onComplete: () => {
      last().complete = true;
    },
  });
  const isUpgraded = (): boolean => reader.stage === 'complete' && last().head.upgrade !== undefined;
  try {
    for (const chunk of chunks) {
      let left = chunk;
      while (left.length > 0 && !isUpgraded()) {
        if (reader.stage === 'complete') reader.next();
        left = left.subarray(reader.feed(left));
      }
      if (isUpgraded()) seen.rest += left.toString('latin1');
    }
  } catch (error) {
    seen.fault = codeOf(error);
    if (reader.feed(Buffer.from('GET')) !== 0) throw new Error('the reader went on after a fault', { cause: error });
  }
  seen.stage = reader.stage;
  return seen;
}

export interface Expected {
  readonly method: string;
  readonly mayUpgrade?: boolean;
}

export interface ResponsesSeen {
  readonly interim: ResponseHead[];
  readonly messages: Message<ResponseHead>[];
  /** Bytes that no expected response accounts for. */
  rest: string;
  isReusable: boolean;
  /** What the reader says when the origin closes after the bytes. */
  finish: ReturnType<ResponseReader['finish']> | undefined;
  fault: ErrorCode | undefined;
}

/** Reads the response to each of `expected` in turn, then lets the origin close. */
export function observeResponses(
  chunks: readonly Buffer[],
  expected: readonly Expected[],
  limits: Partial<ResponseLimits> = {},
): ResponsesSeen {
  const seen: ResponsesSeen = {
    interim: [],
    messages: [],
    rest: '',
    isReusable: false,
    finish: undefined,
    fault: undefined,
  };
  const last = (): Message<ResponseHead> => seen.messages.at(-1) as Message<ResponseHead>;
  const reader = new ResponseReader(
    { ...DEFAULT_RESPONSE_LIMITS, ...limits },
    {
      onInterim: (head) => seen.interim.push(inFull(head)),
      onHead: (head) => seen.messages.push({ head: inFull(head), body: '', trailers: [], complete: false }),
      onBody: (chunk) => {
        if (chunk.length === 0) throw new Error('an empty body chunk');
        last().body += chunk.toString('latin1');
      },
      onTrailers: (fields) => {
        last().trailers = fields;
      },
      onComplete: () => {
        last().complete = true;
      },
    },
  );
  const waiting = [...expected];
  const goOn = (): boolean => {
    const next = waiting.shift();
    if (next !== undefined) reader.expect(next.method, next.mayUpgrade ?? false);
    return next !== undefined;
  };
  goOn();
  try {
    for (const chunk of chunks) {
      let left = chunk;
      while (left.length > 0 && (reader.stage !== 'complete' || goOn())) left = left.subarray(reader.feed(left));
      if (left.length > 0) reader.feed(left);
      seen.rest += left.toString('latin1');
    }
    seen.isReusable = reader.isReusable;
    seen.finish = reader.finish();
  } catch (error) {
    seen.fault = codeOf(error);
    if (reader.feed(Buffer.from('HTTP')) !== 0) throw new Error('the reader went on after a fault', { cause: error });
  }
  return seen;
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof PortholeError && error.code !== 'INTERNAL') return error.code;
  throw error;
}

/** Some heads make their fields when they are asked for. */
function inFull({ status, reason, minor, fields, body, keepAlive }: ResponseHead): ResponseHead {
  return { status, reason, minor, fields, body, keepAlive };
}

function requestInFull(head: RequestHead): RequestHead {
  const { method, target, host, authority, minor, fields, body, keepAlive, upgrade, expectsContinue } = head;
  return { method, target, host, authority, minor, fields, body, keepAlive, upgrade, expectsContinue };
}
