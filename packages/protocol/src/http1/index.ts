/** HTTP/1 reading and writing, pure: bytes in, callbacks out; fields in, text out. */
export type { BodyFraming, Fields, RequestHead, ResponseHead } from './message.ts';
export { DEFAULT_HEAD_LIMITS, DEFAULT_RESPONSE_LIMITS, type HeadLimits, type ResponseLimits } from './limits.ts';
export type { BodySink } from './body-sink.ts';
export { RequestReader, type ReaderStage, type RequestSink } from './request-reader.ts';
export { ResponseReader, type ResponseSink } from './response-reader.ts';
export {
  anyCase,
  LINE_PATTERN,
  SPECIAL_IN_RESPONSES,
  TOKEN_PATTERN,
  VALUE_PATTERN,
} from './head-patterns.ts';
export { type PlainFields, PlainRequest } from './plain-request.ts';
export { numberOf, PlainResponse } from './plain-response.ts';
export { hostOfAuthority } from './authority.ts';
export { isBodiless, requestFraming, responseFraming } from './framing.ts';
export {
  forwardableRequestFields,
  forwardableRequestLines,
  forwardableResponseFields,
  forwardableResponseLines,
  forwardableTrailers,
  passesThrough,
  requireValidFields,
  type RequestForwarding,
} from './forwarding.ts';
export {
  CHUNK_END,
  chunkHead,
  LAST_CHUNK,
  lastChunk,
  mayStayOpen,
  requestHeadText,
  responseHeadText,
  type RequestConnection,
  type ResponseConnection,
} from './serialize.ts';
