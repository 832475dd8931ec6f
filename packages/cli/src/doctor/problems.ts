/** What `porthole doctor` can find beyond what the relay or the dial itself says, and what to do about each. */
import { errorRow, type ErrorCode, PortholeError } from '@porthole/agent';

interface Problem {
  /** Decides the exit code. */
  readonly as: ErrorCode;
  readonly hint: string;
}

export const PROBLEMS = {
  NAME_UNKNOWN: {
    as: 'RELAY_UNREACHABLE',
    hint: 'Check the spelling of the relay’s URL and the name server of this machine; the operator checks the DNS record.',
  },
  PORT_CLOSED: {
    as: 'RELAY_UNREACHABLE',
    hint: 'Nothing listens there: check the port in the relay’s URL, and ask the operator whether the relay runs.',
  },
  PORT_FILTERED: {
    as: 'RELAY_UNREACHABLE',
    hint: 'A firewall drops it, here or there. If this network wants an HTTP proxy, set HTTPS_PROXY.',
  },
  PROXY_UNREACHABLE: {
    as: 'RELAY_UNREACHABLE',
    hint: 'Correct the proxy variable named, or take this relay out with NO_PROXY.',
  },
  PROXY_REFUSES: {
    as: 'RELAY_UNREACHABLE',
    hint: 'Give the proxy a user and a password (http://user:password@proxy:port), or ask who runs it to let the relay pass.',
  },
  TLS_FAILED: {
    as: 'RELAY_UNREACHABLE',
    hint: 'Something that does not speak TLS answers: check scheme and port of the relay’s URL.',
  },
  CERTIFICATE_EXPIRED: {
    as: 'RELAY_UNREACHABLE',
    hint: 'The operator renews it; `porthole-relay doctor` says why it was not.',
  },
  CERTIFICATE_NOT_YET_VALID: { as: 'RELAY_UNREACHABLE', hint: 'Set the clock of this machine.' },
  CERTIFICATE_WRONG_NAME: {
    as: 'RELAY_UNREACHABLE',
    hint: 'Use the name the certificate is for, or the operator gets one for this name.',
  },
  TLS_INTERCEPTED: {
    as: 'RELAY_UNREACHABLE',
    hint: 'If the issuer is your company or a virus scanner, it reads the traffic; if it is the relay’s own, that is fine. Trust it with --ca-file.',
  },
  NOT_A_RELAY: {
    as: 'NOT_A_RELAY',
    hint: 'Check the relay’s URL. Behind a proxy of the operator, its domain must lead to the relay, too.',
  },
  USE_HTTPS: { as: 'NOT_A_RELAY', hint: 'Write https:// in the relay’s URL: log in there again.' },
  CLOCK_OFF: { as: 'RELAY_UNREACHABLE', hint: 'Switch time synchronisation on: certificates are refused otherwise.' },
  NO_ENCRYPTION: {
    as: 'RELAY_UNREACHABLE',
    hint: 'Use https:// as soon as the relay has it: who listens on the way can read the token and all traffic.',
  },
  WEBSOCKET_ONLY: {
    as: 'RELAY_UNREACHABLE',
    hint: 'Something on the way refuses `Upgrade: porthole`. It works like this, a little slower.',
  },
  VERSION_DIFFERS: {
    as: 'VERSION_UNSUPPORTED',
    hint: 'They understand each other; update the older one when it suits.',
  },
  WILDCARD_MISSING: {
    as: 'RELAY_UNREACHABLE',
    hint: 'The tunnel works, but nobody finds it: the operator makes a DNS record for * below the domain.',
  },
  CANARY_LOST: {
    as: 'NOT_A_RELAY',
    hint: 'What answers at the tunnel’s address is not the relay: the operator checks the DNS record for * and what stands in front.',
  },
  CANARY_UNREACHABLE: {
    as: 'RELAY_UNREACHABLE',
    hint: 'The relay is reached, tunnels are not: the operator checks the DNS record and the certificate for *.',
  },
} as const satisfies Record<string, Problem>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Ends a step. `code` decides the exit code as ever, `problem` is what is printed. */
export class StepProblem extends PortholeError {
  readonly problem: ProblemCode;
  readonly text: string;
  /** It works nevertheless. */
  readonly isWarning: boolean;

  constructor(problem: ProblemCode, text: string, options: { cause?: unknown; isWarning?: boolean } = {}) {
    super(PROBLEMS[problem].as, text, { cause: options.cause });
    this.problem = problem;
    this.text = text;
    this.isWarning = options.isWarning ?? false;
  }

  override get hint(): string {
    return PROBLEMS[this.problem].hint;
  }
}

/** A warning that a step ends with. */
export function warn(problem: ProblemCode, text: string): StepProblem {
  return new StepProblem(problem, text, { isWarning: true });
}

export function exitCodeFor({ code }: PortholeError): number {
  return errorRow(code).exit ?? 1;
}
