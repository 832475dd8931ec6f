/**
 * One table in one piece: every failure that can reach a person or cross the wire, in one closed table.
 * A code is never reused or renumbered; a retired one stays here, marked. `docs/errors.md` is generated from it.
 */

/** Who meets the failure, which decides what must be filled in. */
export interface ErrorRow {
  /** Number on the wire (RESET, CLOSE, REFUSED frames); unique, never reused. */
  readonly wire: number;
  /** Status of the relay's own answer when a visitor meets it; absent when no visitor can. */
  readonly status?: number;
  /** Whether trying the same thing again later, unchanged, can succeed. */
  readonly retryable: boolean;
  /** Exit code of a command that ends because of it (0 stopped by the user, 2 usage, 3 refused by the relay, 1 else). */
  readonly exit?: 1 | 2 | 3;
  /** What happened, one sentence for people. */
  readonly message: string;
  /** What to do about it, one sentence for people. */
  readonly hint: string;
}

export const ERRORS = {
  // Endings of a stream or session, 0 to 29.
  NO_ERROR: { wire: 0, retryable: true, message: 'Ended normally.', hint: 'Nothing to do.' },
  CANCELLED: {
    wire: 1,
    retryable: true,
    message: 'The other side gave up before the end.',
    hint: 'Try again if the answer is still wanted.',
  },
  PROTOCOL_ERROR: {
    wire: 2,
    retryable: false,
    exit: 1,
    message: 'The other side broke the wire protocol.',
    hint: 'Check that agent and relay are released together; report it if they are.',
  },
  INTERNAL: {
    wire: 3,
    status: 500,
    retryable: false,
    exit: 1,
    message: 'Something failed inside Porthole.',
    hint: 'The log has the details; please report it.',
  },
  FLOW_CONTROL: {
    wire: 4,
    retryable: false,
    exit: 1,
    message: 'The other side sent more than it was allowed.',
    hint: 'Check that agent and relay are released together; report it if they are.',
  },
  SESSION_LOST: {
    wire: 5,
    status: 502,
    retryable: true,
    message: 'The agent was away for longer than the grace time, so its open streams ended.',
    hint: 'Reload; if it lasts, check the network beside the agent.',
  },
  GOING_AWAY: {
    wire: 6,
    status: 503,
    retryable: true,
    message: 'This side is stopping.',
    hint: 'Try again in a moment.',
  },
  SESSION_GONE: {
    wire: 7,
    retryable: true,
    message: 'The session to resume no longer exists.',
    hint: 'The agent opens a new session by itself.',
  },
  SESSION_REPLACED: {
    wire: 8,
    retryable: false,
    exit: 3,
    message: 'A newer session of the same identity took this tunnel over.',
    hint: 'Stop the other agent, or give this tunnel another name.',
  },
  HANDSHAKE_TIMEOUT: {
    wire: 9,
    retryable: true,
    message: 'The handshake was not finished in time.',
    hint: 'Check the network between agent and relay.',
  },
  STREAM_LIMIT: {
    wire: 10,
    status: 503,
    retryable: true,
    message: 'The tunnel has too many requests under way.',
    hint: 'Try again in a moment.',
  },
  STREAM_REFUSED: {
    wire: 11,
    status: 503,
    retryable: true,
    message: 'The agent had moved when the request came, and nothing of it reached the local service.',
    hint: 'Try again in a moment.',
  },

  // What went wrong at the origin, 30 to 49.
  ORIGIN_REFUSED: {
    wire: 30,
    status: 502,
    retryable: true,
    message: 'The local service refused the connection.',
    hint: 'Start the service, or point the tunnel at the port it listens on.',
  },
  ORIGIN_UNREACHABLE: {
    wire: 31,
    status: 502,
    retryable: true,
    message: 'The local service could not be reached.',
    hint: 'Check the host name and the network beside the agent.',
  },
  ORIGIN_TIMEOUT: {
    wire: 32,
    status: 504,
    retryable: true,
    message: 'The local service did not answer in time.',
    hint: 'Check that the service is not overloaded or blocked by a firewall.',
  },
  ORIGIN_BAD_RESPONSE: {
    wire: 33,
    status: 502,
    retryable: false,
    message: 'The local service answered with something that is not valid HTTP/1.1.',
    hint: 'Check that the port speaks HTTP, and whether it wants https://.',
  },
  ORIGIN_CLOSED: {
    wire: 34,
    status: 502,
    retryable: true,
    message: 'The local service closed the connection before it answered.',
    hint: 'Look into the log of the local service.',
  },
  ORIGIN_TRUNCATED: {
    wire: 35,
    status: 502,
    retryable: true,
    message: 'The local service broke off in the middle of its answer.',
    hint: 'Look into the log of the local service.',
  },
  ORIGIN_TLS: {
    wire: 36,
    status: 502,
    retryable: false,
    message: 'The TLS handshake with the local service failed.',
    hint: 'Give its CA with --origin-ca-file, or its fingerprint with --origin-verify sha256:…, or --origin-verify off if you trust the way there.',
  },
  ORIGIN_HEAD_TOO_LARGE: {
    wire: 37,
    status: 502,
    retryable: false,
    message: "The head of the local service's answer is larger than the limit.",
    hint: 'Send fewer or smaller response headers (often cookies).',
  },

  // Session set-up: identity, names, ports, 60 to 89.
  VERSION_UNSUPPORTED: {
    wire: 60,
    retryable: false,
    exit: 3,
    message: 'Agent and relay do not speak a common protocol version.',
    hint: 'Update the older of the two.',
  },
  TOKEN_MISSING: {
    wire: 61,
    retryable: false,
    exit: 3,
    message: 'This relay wants a token.',
    hint: 'Run `porthole login <relay-url>`, or set PORTHOLE_TOKEN.',
  },
  TOKEN_INVALID: {
    wire: 62,
    retryable: false,
    exit: 3,
    message: 'The relay does not know this token.',
    hint: 'Check for a copying mistake, or ask the operator for a new one (`porthole-relay token add`).',
  },
  TOKEN_REVOKED: {
    wire: 63,
    retryable: false,
    exit: 3,
    message: 'This token has been revoked.',
    hint: 'Ask the operator for a new one.',
  },
  NAME_TAKEN: {
    wire: 64,
    retryable: false,
    exit: 3,
    message: 'The name is in use by somebody else.',
    hint: 'Choose another name, or ask its holder or the operator to free it.',
  },
  NAME_INVALID: {
    wire: 65,
    retryable: false,
    exit: 3,
    message: 'The name is not valid.',
    hint: 'Use 1 to 63 of a-z, 0-9 and -, not at either end.',
  },
  NAME_RESERVED: {
    wire: 66,
    retryable: false,
    exit: 3,
    message: 'The name is reserved.',
    hint: 'Choose another name, or ask the operator (`porthole-relay name reserve`).',
  },
  NAME_NOT_ALLOWED: {
    wire: 67,
    retryable: false,
    exit: 3,
    message: 'The token does not allow this name.',
    hint: 'Choose one the token allows, or ask the operator for a wider token.',
  },
  PORT_NOT_ALLOWED: {
    wire: 68,
    retryable: false,
    exit: 3,
    message: 'The token or the relay does not allow this port.',
    hint: 'Choose a port the token allows, or ask the operator for a wider token.',
  },
  PORT_TAKEN: {
    wire: 69,
    retryable: false,
    exit: 3,
    message: 'The port is in use by somebody else.',
    hint: 'Choose another port, or leave --remote-port out to get a free one.',
  },
  PORTS_EXHAUSTED: {
    wire: 70,
    retryable: true,
    exit: 3,
    message: 'The relay has no free port left.',
    hint: 'Ask the operator for a larger port range.',
  },
  TUNNEL_LIMIT: {
    wire: 71,
    retryable: false,
    exit: 3,
    message: 'The identity has as many tunnels as it may have.',
    hint: 'Close one, or ask the operator to raise the limit.',
  },
  TCP_DISABLED: {
    wire: 72,
    retryable: false,
    exit: 3,
    message: 'This relay offers no ports for tunnels.',
    hint: 'Ask the operator to set `tcp.ports`.',
  },
  RELAY_FULL: {
    wire: 73,
    status: 503,
    retryable: true,
    message: 'The relay has no room for further agents just now.',
    hint: 'Try again later, or ask the operator to raise the limit.',
  },
  NOT_SUPPORTED: {
    wire: 74,
    retryable: false,
    exit: 3,
    message: 'The relay does not offer this.',
    hint: 'Update the relay, or ask the operator to switch it on.',
  },
  DOMAIN_NOT_PROVEN: {
    wire: 75,
    retryable: true,
    exit: 3,
    message: 'DNS does not show that this domain is yours.',
    hint: 'Set one of the records named, wait until DNS shows it, and try again.',
  },
  SESSION_LIMIT: {
    wire: 76,
    retryable: true,
    message: 'The identity has as many agents at the relay as it may have, those that are away included.',
    hint: 'Stop an agent, or ask the operator to raise `limits.max_sessions_per_user`.',
  },

  // What only the relay's own answers to visitors use, 100 to 139.
  TUNNEL_NOT_FOUND: {
    wire: 100,
    status: 404,
    retryable: false,
    message: 'No tunnel has this address.',
    hint: 'Check the address, or start the agent that serves it.',
  },
  AGENT_AWAY: {
    wire: 101,
    status: 503,
    retryable: true,
    message: 'The agent of this tunnel is not connected just now.',
    hint: 'Try again in a moment; if it lasts, start the agent again.',
  },
  WAIT_LIMIT: {
    wire: 102,
    status: 503,
    retryable: true,
    message: 'Too many requests are already waiting for this tunnel.',
    hint: 'Try again in a moment.',
  },
  RELAY_DRAINING: {
    wire: 103,
    status: 503,
    retryable: true,
    message: 'The relay is about to stop.',
    hint: 'Try again in a moment.',
  },
  LOOP_DETECTED: {
    wire: 104,
    status: 508,
    retryable: false,
    message: 'The request came back to the relay it had already passed.',
    hint: 'Point the tunnel at a service that is not the tunnel itself.',
  },
  VISITOR_LIMIT: {
    wire: 105,
    status: 503,
    retryable: true,
    message: 'The relay has as many connections of visitors as it may have, in all or from this address.',
    hint: 'Try again in a moment, or raise `limits.max_visitors` or `limits.max_visitors_per_address`.',
  },
  BAD_REQUEST: {
    wire: 110,
    status: 400,
    retryable: false,
    message: 'The request is not valid HTTP/1.1.',
    hint: 'Send it as RFC 9112 says.',
  },
  HEAD_TOO_LARGE: {
    wire: 111,
    status: 431,
    retryable: false,
    message: 'The head of the request is larger than the limit.',
    hint: 'Send fewer or smaller header fields (often cookies), or raise `limits.max_head_bytes`.',
  },
  TOO_MANY_FIELDS: {
    wire: 112,
    status: 431,
    retryable: false,
    message: 'The request has more header fields than the limit.',
    hint: 'Send fewer header fields, or raise `limits.max_fields`.',
  },
  TARGET_TOO_LONG: {
    wire: 113,
    status: 414,
    retryable: false,
    message: 'The request target is longer than the limit.',
    hint: 'Send a shorter URL, or raise `limits.max_target_bytes`.',
  },
  HEAD_TIMEOUT: {
    wire: 114,
    status: 408,
    retryable: true,
    message: 'The head of the request did not arrive in time.',
    hint: 'Send it faster.',
  },
  METHOD_NOT_SUPPORTED: {
    wire: 115,
    status: 501,
    retryable: false,
    message: 'The relay does not pass this method on.',
    hint: 'CONNECT and TRACE do not work through a tunnel.',
  },
  CODING_NOT_SUPPORTED: {
    wire: 116,
    status: 501,
    retryable: false,
    message: 'The transfer coding is not supported.',
    hint: 'Send the body with Content-Length or as chunked.',
  },
  HTTP_VERSION_NOT_SUPPORTED: {
    wire: 117,
    status: 505,
    retryable: false,
    message: 'The HTTP version is not supported.',
    hint: 'Use HTTP/1.1.',
  },
  EXPECTATION_FAILED: {
    wire: 118,
    status: 417,
    retryable: false,
    message: 'The expectation is not supported.',
    hint: 'Only `Expect: 100-continue` is.',
  },
  MISDIRECTED: {
    wire: 119,
    status: 421,
    retryable: false,
    message: 'The request is for another host than the connection.',
    hint: 'Open a new connection for this host.',
  },

  // What a command meets before there is a relay, 160 to 189.
  USAGE: { wire: 160, retryable: false, exit: 2, message: 'The command line is not valid.', hint: 'See --help.' },
  CONFIG_INVALID: {
    wire: 161,
    retryable: false,
    exit: 2,
    message: 'The configuration is not valid.',
    hint: 'Correct the places named.',
  },
  TARGET_INVALID: {
    wire: 162,
    retryable: false,
    exit: 2,
    message: 'The target is not valid.',
    hint: 'Use a port, host:port, [::1]:port, http://…, https://…, grpc://…, grpcs://…, h2c://… or unix:/path.',
  },
  ADDRESS_IN_USE: {
    wire: 163,
    retryable: false,
    exit: 1,
    message: 'The address to listen on is taken by another program.',
    hint: 'Stop that program, or choose another address.',
  },
  RELAY_UNREACHABLE: {
    wire: 164,
    retryable: true,
    exit: 1,
    message: 'The relay could not be reached.',
    hint: 'Check the address, the network and proxy settings.',
  },
  NOT_A_RELAY: {
    wire: 165,
    retryable: true,
    exit: 1,
    message: 'Whatever answers at this address is not a Porthole relay.',
    hint: 'Check the relay URL.',
  },
  RELAY_NOT_TLS: {
    wire: 185,
    retryable: true,
    exit: 1,
    message: 'The relay does not speak TLS at this address.',
    hint: 'Use http:// in its URL, or the port on which it speaks TLS; the agent keeps trying.',
  },
  RELAY_NOT_TRUSTED: {
    wire: 186,
    retryable: true,
    exit: 1,
    message: 'The certificate of the relay is not trusted here.',
    hint: 'Name its authority with --ca-file if that is one of your own; if not, `porthole doctor` shows the certificate, and the operator puts it right.',
  },
  PROXY_FAILED: {
    wire: 187,
    retryable: true,
    exit: 1,
    message: 'The HTTP proxy on the way to the relay could not be used.',
    hint: 'Correct HTTPS_PROXY or HTTP_PROXY, or name the relay in NO_PROXY; the agent keeps trying.',
  },
  RELAY_STOPPING: {
    wire: 188,
    retryable: true,
    exit: 1,
    message: 'The relay is stopping.',
    hint: 'Nothing to do if it is only being restarted: the agent goes back to it by itself.',
  },
  WAIT_TIMEOUT: {
    wire: 189,
    retryable: true,
    exit: 1,
    message: 'The tunnels do not stand yet.',
    hint: '`porthole status` shows how far they are; --timeout waits longer.',
  },
  FILE_UNREADABLE: {
    wire: 166,
    retryable: false,
    exit: 2,
    message: 'A file could not be read.',
    hint: 'Check its path and permissions.',
  },
  STORE_FAILED: {
    wire: 167,
    status: 503,
    retryable: true,
    exit: 1,
    message: "The relay's store could not be written or read.",
    hint: 'Check free space and permissions of the data folder.',
  },
  BASIC_AUTH_INVALID: {
    wire: 168,
    retryable: false,
    exit: 2,
    message: 'The user name and password for visitors cannot be used.',
    hint: 'Give user:password, neither of them empty; leave the option out to let everybody in.',
  },
  DATA_FOLDER_IN_USE: {
    wire: 169,
    retryable: false,
    exit: 1,
    message: 'Another relay runs on this data folder.',
    hint: 'Stop that one, or give this one a folder of its own with --data.',
  },
  NO_RELAY_RUNS: {
    wire: 170,
    retryable: true,
    exit: 1,
    message: 'No relay that can be reloaded runs on this data folder.',
    hint: 'Name its folder with --data or its file with --config; start it again if it has no workers.',
  },
  ADDRESS_FORBIDDEN: {
    wire: 171,
    retryable: false,
    exit: 1,
    message: 'The system does not let this program listen on the address.',
    hint: 'Ports below 1024 take a right: a socket of systemd, `setcap cap_net_bind_service=+ep` on the node program, or a port above 1023.',
  },
  ADDRESS_NOT_HERE: {
    wire: 172,
    retryable: false,
    exit: 1,
    message: 'The address to listen on is not one of this machine.',
    hint: 'Give one that this machine has (`ip address` lists them), or the port alone (`:8080`) for all of them.',
  },
  TOKEN_NOT_FOUND: {
    wire: 173,
    retryable: false,
    exit: 2,
    message: 'There is no token with this id.',
    hint: '`porthole-relay token list` shows the ids.',
  },
  FILE_EXISTS: {
    wire: 174,
    retryable: false,
    exit: 2,
    message: 'The file to write exists already.',
    hint: 'Give another name, or remove the file first.',
  },
  NOT_LOGGED_IN: {
    wire: 175,
    retryable: false,
    exit: 1,
    message: 'No token of this relay is stored here.',
    hint: 'Nothing has to be forgotten; a token of PORTHOLE_TOKEN or --token-file is not stored.',
  },
  RELAY_MISSING: {
    wire: 176,
    retryable: false,
    exit: 2,
    message: 'No relay is configured.',
    hint: 'Run `porthole login <relay-url>`, or name one with --relay or PORTHOLE_RELAY.',
  },
  TOKEN_MALFORMED: {
    wire: 177,
    retryable: false,
    exit: 2,
    message: 'What was given is no token.',
    hint: 'Give the one line that `porthole-relay token add` printed, and nothing else.',
  },
  NOT_ANSWERED: {
    wire: 178,
    retryable: true,
    exit: 2,
    message: 'A question was not answered, and nothing was written.',
    hint: 'Run the command again, or give the answers as options (--help lists them).',
  },

  // Certificates and the bytes before TLS, 200 to 219.
  ACME_UNREACHABLE: {
    wire: 200,
    retryable: true,
    exit: 1,
    message: 'The certificate authority could not be reached.',
    hint: 'Check the directory address, DNS and outgoing HTTPS of this machine; the relay keeps trying.',
  },
  ACME_BAD_ANSWER: {
    wire: 201,
    retryable: true,
    exit: 1,
    message: 'The certificate authority gave an answer that is not valid.',
    hint: 'Check that the directory address is an ACME server; the relay keeps trying.',
  },
  ACME_REFUSED: {
    wire: 202,
    retryable: false,
    exit: 1,
    message: 'The certificate authority refused the request.',
    hint: 'Read what it says and correct the account, the terms or the name.',
  },
  ACME_RATE_LIMITED: {
    wire: 203,
    retryable: true,
    exit: 1,
    message: 'The certificate authority says that too much was asked of it.',
    hint: 'Wait until the time it names; use its staging directory for experiments.',
  },
  ACME_CHALLENGE_FAILED: {
    wire: 204,
    retryable: true,
    exit: 1,
    message: 'The certificate authority could not verify that the name leads here.',
    hint: 'Check the DNS records of the name and that ports 80 and 443 (or 53 for wildcards) are reachable from outside.',
  },
  CERTIFICATE_TIMEOUT: {
    wire: 205,
    retryable: true,
    exit: 1,
    message: 'The certificate did not come in time.',
    hint: 'The relay tries again by itself; look into its log if it lasts.',
  },
  CERTIFICATE_NOT_ALLOWED: {
    wire: 206,
    retryable: true,
    exit: 3,
    message: 'No certificate is asked for this name just now.',
    hint: 'Prove the ownership of the name, or wait until the limit named has room again.',
  },
  CERTIFICATE_INVALID: {
    wire: 207,
    retryable: false,
    exit: 2,
    message: 'A certificate or key cannot be used.',
    hint: 'Check that the files are PEM, belong together, cover the names and have not expired.',
  },
  BAD_PROXY_HEADER: {
    wire: 208,
    retryable: false,
    message: 'The connection did not begin with a valid PROXY protocol header.',
    hint: 'Make the load balancer send PROXY protocol v1 or v2, or take its address off the trusted list.',
  },
  BAD_CLIENT_HELLO: {
    wire: 209,
    status: 400,
    retryable: false,
    message: 'The connection did not begin with a valid TLS ClientHello.',
    hint: 'Speak TLS on this port: use an https:// address.',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

const byWire = new Map<number, ErrorCode>();
for (const code of Object.keys(ERRORS) as ErrorCode[]) byWire.set(ERRORS[code].wire, code);

/** The code of a wire number; a number this release does not know reads as `INTERNAL`. */
export function codeOfWire(wire: number): ErrorCode {
  return byWire.get(wire) ?? 'INTERNAL';
}

export function errorRow(code: ErrorCode): ErrorRow {
  return ERRORS[code];
}

/** The one error class of Porthole. Compare `code`; `detail` says what is particular to this occurrence. */
export class PortholeError extends Error {
  override readonly name = 'PortholeError';
  readonly code: ErrorCode;
  /** What is particular to this occurrence, for people; may be empty. */
  readonly detail: string;

  constructor(code: ErrorCode, detail = '', options?: { cause?: unknown }) {
    super(detail === '' ? ERRORS[code].message : `${ERRORS[code].message} (${detail})`, options);
    this.code = code;
    this.detail = detail;
  }

  /** What to do about it, one sentence. */
  get hint(): string {
    return ERRORS[this.code].hint;
  }
}
