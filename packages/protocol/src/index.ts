export * from './errors.ts';
export * from './head.ts';
export * from './messages.ts';
export * from './stream-contract.ts';
export type { BodyFraming, Fields, RequestHead, ResponseHead } from './http1/message.ts';
