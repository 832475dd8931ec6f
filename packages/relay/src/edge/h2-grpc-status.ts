/** What the relay's own answers say to gRPC, whose callers look at `grpc-status` and not at the status line. */
import { type ErrorCode, errorRow } from '@porthole/protocol';

const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;
const INTERNAL = 13;
const UNAVAILABLE = 14;

/** By the mapping of statuses in gRPC's `http-grpc-status-mapping.md`; a time-out of ours is one of the call's. */
export function grpcStatusOf(code: ErrorCode): number {
  if (code === 'CANCELLED') return CANCELLED;
  switch (errorRow(code).status) {
    case 400:
    case 500:
      return INTERNAL;
    case 404:
    case 421:
    case 501:
      return UNIMPLEMENTED;
    case 431:
      return RESOURCE_EXHAUSTED;
    case 504:
      return DEADLINE_EXCEEDED;
    default:
      return UNAVAILABLE;
  }
}
