/** The seam between the agents' door and whoever takes carriers to other processes of the relay, and brings them. */
import type { ResumeHello } from '@porthole/protocol';
import type { Carrier } from '@porthole/protocol/node';

/** What was said on a carrier before it was passed on: all that is needed to verify the hello somewhere else. */
export interface HeardHello {
  readonly hello: ResumeHello;
  /** Of the challenge that the hello answers. */
  readonly nonce: string;
}

export interface CarrierHandover {
  /** This process, as agents are to name it when they resume. */
  readonly node: string;
  /** Takes the carrier to the process named. False when there can be none; `onGone` is called when there is none. */
  pass(carrier: Carrier, to: string, heard: HeardHello, onGone: () => void): boolean;
}

/** Takes a carrier that landed on another process. */
export type TakeCarrier = (carrier: Carrier, heard: HeardHello) => void;
