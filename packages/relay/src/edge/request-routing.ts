/** What a request head means to the relay: who is it from, does an agent ask for a carrier, what goes on to the target. */
import {
  CARRIER_PATH,
  type ExchangeRequest,
  type Fields,
  fieldsOfLines,
  requestBlock,
  requestBlockTail,
  type RequestHead,
} from '@porthole/protocol';
import {
  forwardableRequestFields,
  forwardableRequestLines,
  type PlainFields,
  PlainRequest,
  type RequestForwarding,
} from '@porthole/protocol/http1';

import type { TrustedAddresses } from './trusted-addresses.ts';
import type { VisitorTls } from './visitor-tls.ts';

/** Who is at the other end of a connection. */
export interface VisitorOrigin {
  readonly address: string;
  /** A proxy in front of the relay, whose forwarding fields are believed. */
  readonly isTrusted: boolean;
  /** How the connection came. */
  readonly scheme: 'http' | 'https';
  /** The version of HTTP it speaks, for `Via`. Default: what the request says. */
  readonly version?: '2';
  /** What the handshake said, when TLS ended here. */
  readonly tls?: VisitorTls | undefined;
}

/** The requests of one connection as they go on. What follows from fields that came once before is not made again. */
export class ConnectionRequests {
  readonly #from: VisitorOrigin;
  readonly #viaName: string;
  readonly #trusted: TrustedAddresses;
  #head: RequestHead | undefined;
  #request: ExchangeRequest | undefined;
  #plain: PlainForwarding | undefined;

  /** `viaName`: the name of this relay in `Via`. */
  constructor(from: VisitorOrigin, viaName: string, trusted: TrustedAddresses) {
    this.#from = from;
    this.#viaName = viaName;
    this.#trusted = trusted;
  }

  /** Throws LOOP_DETECTED. */
  of(head: RequestHead): ExchangeRequest {
    if (head === this.#head) return this.#request as ExchangeRequest;
    const request = this.#make(head);
    // No other comes twice, and those that are remembered are small.
    const mayComeAgain = head instanceof PlainRequest;
    this.#head = mayComeAgain ? head : undefined;
    this.#request = mayComeAgain ? request : undefined;
    return request;
  }

  #make(head: RequestHead): ExchangeRequest {
    const { isTrusted, tls } = this.#from;
    if (!(head instanceof PlainRequest) || isTrusted || tls?.clientCert !== undefined)
      return exchangeRequest(head, this.#from, this.#viaName, this.#trusted);
    if (this.#plain?.common !== head.common)
      this.#plain = new PlainForwarding(head.common, this.#from, forwardingOf(this.#from, this.#viaName));
    return new PlainExchange(head, this.#plain);
  }
}

/** Throws LOOP_DETECTED. */
export function exchangeRequest(
  head: RequestHead,
  from: VisitorOrigin,
  viaName: string,
  trusted: TrustedAddresses,
): ExchangeRequest {
  const { address, isTrusted, scheme } = from;
  const fields = forwardableRequestFields(head, forwardingOf(from, viaName));
  const { body } = head;
  return {
    method: head.method,
    target: head.target,
    scheme: isTrusted ? statedScheme(head.fields, scheme) : scheme,
    authority: head.authority,
    visitorAddress: isTrusted ? statedAddress(head.fields, address, trusted) : address,
    bodiless: body.kind === 'none' || (body.kind === 'length' && body.length === 0),
    upgrade: head.upgrade !== undefined,
    fields,
  };
}

function forwardingOf({ address, scheme, isTrusted, tls, version }: VisitorOrigin, viaName: string): RequestForwarding {
  return {
    visitorAddress: address,
    scheme,
    isTrusted,
    pseudonym: viaName,
    clientCert: tls?.clientCert,
    version,
  };
}

/** All of a plain request but method and target, as it goes on. */
class PlainForwarding {
  readonly common: PlainFields;
  readonly scheme: string;
  readonly visitorAddress: string;
  readonly lines: string;
  readonly blockTail: string;

  constructor(common: PlainFields, { address, scheme }: VisitorOrigin, forwarding: RequestForwarding) {
    this.common = common;
    this.scheme = scheme;
    this.visitorAddress = address;
    this.lines = forwardableRequestLines(common, forwarding);
    this.blockTail = requestBlockTail({
      scheme,
      authority: common.authority,
      visitorAddress: address,
      bodiless: true,
      upgrade: false,
      lines: this.lines,
    });
  }
}

/** A request whose fields are at hand as lines. */
class PlainExchange implements ExchangeRequest {
  readonly method: string;
  readonly target: string;
  readonly bodiless = true;
  readonly upgrade = false;
  readonly block: string;
  readonly #forwarding: PlainForwarding;

  constructor({ method, target }: PlainRequest, forwarding: PlainForwarding) {
    this.method = method;
    this.target = target;
    this.block = requestBlock(method, target, forwarding.blockTail);
    this.#forwarding = forwarding;
  }

  get scheme(): string {
    return this.#forwarding.scheme;
  }

  get authority(): string {
    return this.#forwarding.common.authority;
  }

  get visitorAddress(): string {
    return this.#forwarding.visitorAddress;
  }

  get fields(): Fields {
    return fieldsOfLines(this.#forwarding.lines);
  }
}

/** Whether the head asks for a session's carrier; on the relay's own host names only. */
export function isAgentUpgrade(head: RequestHead): boolean {
  if (head.upgrade === undefined || head.target !== CARRIER_PATH) return false;
  const protocol = head.upgrade.toLowerCase();
  return protocol === 'porthole' || protocol === 'websocket';
}

/** Values of all lines of the field, joined; empty when there is none. `name` in lower case. */
export function valueOf(fields: Fields, name: string): string {
  let value = '';
  for (let i = 0; i < fields.length; i += 2) {
    const candidate = fields[i] as string;
    if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue;
    value = value === '' ? (fields[i + 1] as string) : `${value}, ${fields[i + 1]}`;
  }
  return value;
}

/** The proxy nearest to the relay has the last word. */
function statedScheme(fields: Fields, scheme: string): string {
  const stated = valueOf(fields, 'x-forwarded-proto').split(',').at(-1)?.trim().toLowerCase();
  return stated === 'https' || stated === 'http' ? stated : scheme;
}

/** The last address that is not a trusted proxy's. */
function statedAddress(fields: Fields, address: string, trusted: TrustedAddresses): string {
  const hops = valueOf(fields, 'x-forwarded-for')
    .split(',')
    .map((hop) => hop.trim());
  for (const hop of hops.reverse()) {
    if (!/^[0-9a-fA-F:.]{2,45}$/.test(hop)) return address;
    if (!trusted.has(hop)) return hop;
  }
  return address;
}
