export type { BodyFraming, Fields, RequestHead, ResponseHead } from './message.ts';
