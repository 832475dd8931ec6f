/**
 * The authoritative answers of one delegated zone that exists only for dns-01: TXT, SOA, NS. Nothing is recursive,
 * nothing else is known, and every answer is small. Pure: bytes in, bytes out; the sockets are in `dns-listener.ts`.
 */
import { decode, encode, type DataRecord, type DnsRecord, type OptRecord, type Question } from 'dns-packet';
import { normalHostName } from '@porthole/acme';

export interface DnsResponderOptions {
  /** The delegated zone, lower case without trailing dot. */
  readonly zone: string;
  /** Host names of this name server, as the parent zone delegates to them. */
  readonly nameServers: readonly string[];
  /** Values of a TXT record of the zone, by lower-case name. */
  readonly txtValues: (name: string) => Promise<readonly string[]>;
}

export type DnsTransport = 'udp' | 'tcp';

const HEADER_BYTES = 12;
/** RFC 9715: what passes everywhere without fragments. */
const MAX_UDP_BYTES = 1232;
const MIN_UDP_BYTES = 512;
/** Questions are tiny; nothing longer is worth decoding. */
export const MAX_QUERY_BYTES = 1232;
/** Short, because a validation follows within seconds of the change; also of what is not there (RFC 2308). */
const TTL_SECONDS = 1;
const RCODES = { noError: 0, formatError: 1, serverFailure: 2, notImplemented: 4, refused: 5 } as const;
const FLAG_BITS = { authoritative: 1 << 10, truncated: 1 << 9, recursionDesired: 1 << 8 } as const;
const OPT_BAD_VERSION = 1;

interface Query {
  readonly id: number;
  readonly recursionDesired: boolean;
  readonly question: Question;
  /** Length of the question section, which is echoed byte for byte (0x20 case included). */
  readonly questionBytes: number;
  readonly edns: { readonly size: number; readonly version: number } | undefined;
}

interface Answer {
  readonly rcode: number;
  readonly authoritative?: boolean;
  readonly answers?: readonly DataRecord[];
  readonly authorities?: readonly DataRecord[];
}

export class DnsResponder {
  readonly #options: DnsResponderOptions;

  constructor(options: DnsResponderOptions) {
    this.#options = options;
  }

  /** Undefined for what is not to be answered at all: responses, and bytes that are no DNS. Never rejects. */
  async answer(bytes: Buffer, transport: DnsTransport): Promise<Buffer | undefined> {
    const query = readQuery(bytes);
    if (query === undefined) return undefined;
    if (typeof query === 'number') return headerOnly(bytes, query);
    const answer = await this.#resolve(query).catch(() => ({ rcode: RCODES.serverFailure }));
    const full = encodeAnswer(bytes, query, answer, false);
    const limit =
      transport === 'tcp'
        ? 65_535
        : Math.min(Math.max(query.edns?.size ?? MIN_UDP_BYTES, MIN_UDP_BYTES), MAX_UDP_BYTES);
    return full.length <= limit ? full : encodeAnswer(bytes, query, { rcode: answer.rcode }, true);
  }

  /** The same question with "ask again over TCP", for an address that asks too often to be believed. */
  truncated(bytes: Buffer): Buffer | undefined {
    const query = readQuery(bytes);
    return query === undefined || typeof query === 'number'
      ? undefined
      : encodeAnswer(bytes, query, { rcode: RCODES.noError }, true);
  }

  async #resolve({ question, edns }: Query): Promise<Answer> {
    if (edns !== undefined && edns.version !== 0) return { rcode: OPT_BAD_VERSION << 4 };
    const name = normalHostName(question.name);
    const { zone } = this.#options;
    const isInZone = name !== undefined && (name === zone || name.endsWith(`.${zone}`));
    if (!isInZone || question.class !== 'IN' || UNANSWERED_TYPES.has(question.type)) return { rcode: RCODES.refused };
    const answers = await this.#records(name, question);
    // Nothing of this name or type: the SOA says how long that may be remembered (RFC 2308 section 3).
    const authorities = answers.length === 0 ? [this.#soa()] : [];
    return { rcode: RCODES.noError, authoritative: true, answers, authorities };
  }

  async #records(name: string, question: Question): Promise<DataRecord[]> {
    const isApex = name === this.#options.zone;
    if (question.type === 'SOA' && isApex) return [this.#soa()];
    if (question.type === 'NS' && isApex)
      return this.#options.nameServers.map((data) => ({ type: 'NS', name, ttl: 300, data }));
    if (question.type !== 'TXT') return [];
    const values = await this.#options.txtValues(name);
    return values.map((value) => ({ type: 'TXT', name: question.name, ttl: TTL_SECONDS, data: [value] }));
  }

  #soa(): DataRecord {
    const { zone, nameServers } = this.#options;
    const mname = nameServers[0] ?? zone;
    const data = {
      mname,
      rname: `hostmaster.${zone}`,
      serial: 1,
      refresh: 3600,
      retry: 600,
      expire: 86_400,
      minimum: TTL_SECONDS,
    };
    return { type: 'SOA', name: zone, ttl: TTL_SECONDS, data };
  }
}

/** Zone transfers and ANY are the large answers that a responder is abused for. */
const UNANSWERED_TYPES: ReadonlySet<string> = new Set(['AXFR', 'IXFR', 'ANY']);

/** A query, the response code of a broken one, or undefined when silence is right. */
function readQuery(bytes: Buffer): Query | number | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_QUERY_BYTES) return undefined;
  const flags = bytes.readUInt16BE(2);
  if (flags & 0x8000) return undefined;
  if (((flags >> 11) & 15) !== 0) return RCODES.notImplemented;
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => bytes.readUInt16BE(at));
  if (questions !== 1 || answers !== 0 || authorities !== 0 || (additionals ?? 0) > 2) return RCODES.formatError;
  const questionBytes = measureQuestion(bytes);
  if (questionBytes === undefined) return RCODES.formatError;
  try {
    const packet = decode(bytes);
    const [question] = packet.questions;
    const options = packet.additionals.filter(isOpt);
    if (question === undefined || options.length > 1) return RCODES.formatError;
    const [opt] = options;
    const edns = opt && { size: opt.udpPayloadSize ?? MIN_UDP_BYTES, version: opt.ednsVersion ?? 0 };
    return {
      id: bytes.readUInt16BE(0),
      recursionDesired: (flags & FLAG_BITS.recursionDesired) !== 0,
      question,
      questionBytes,
      edns,
    };
  } catch {
    return RCODES.formatError;
  }
}

function isOpt(record: DnsRecord): record is OptRecord {
  return record.type === 'OPT';
}

/** Undefined when the name is compressed, too long or past the end: a question has nothing to point back to. */
function measureQuestion(bytes: Buffer): number | undefined {
  let at = HEADER_BYTES;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > 63) return undefined;
    at += 1 + length;
    if (length === 0) break;
  }
  const size = at + 4 - HEADER_BYTES;
  return at + 4 <= bytes.length && size - 4 <= 255 ? size : undefined;
}

function encodeAnswer(bytes: Buffer, query: Query, answer: Answer, truncated: boolean): Buffer {
  const flags =
    (answer.authoritative === true ? FLAG_BITS.authoritative : 0) |
    (truncated ? FLAG_BITS.truncated : 0) |
    (query.recursionDesired ? FLAG_BITS.recursionDesired : 0) |
    (answer.rcode & 15);
  const opt: OptRecord = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: MAX_UDP_BYTES,
    extendedRcode: answer.rcode >> 4,
    ednsVersion: 0,
    flags: 0,
  };
  const rest = encode({
    type: 'response',
    id: query.id,
    flags,
    answers: answer.answers ?? [],
    authorities: answer.authorities ?? [],
    additionals: query.edns === undefined ? [] : [opt],
  });
  // The question goes in as it came: names of odd bytes would not survive decoding and encoding.
  const question = bytes.subarray(HEADER_BYTES, HEADER_BYTES + query.questionBytes);
  const response = Buffer.concat([rest.subarray(0, HEADER_BYTES), question, rest.subarray(HEADER_BYTES)]);
  response.writeUInt16BE(1, 4);
  return response;
}

function headerOnly(bytes: Buffer, rcode: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  bytes.copy(header, 0, 0, 4);
  // Response; opcode and "recursion desired" as they came.
  header.writeUInt16BE(0x8000 | (bytes.readUInt16BE(2) & 0x7900) | rcode, 2);
  return header;
}
