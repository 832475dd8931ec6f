/** The part of dns-packet that we use; the package brings no types. */
declare module 'dns-packet' {
  export interface Question {
    readonly name: string;
    readonly type: string;
    readonly class?: string;
  }
  export interface OptRecord {
    readonly type: 'OPT';
    readonly name: '.';
    readonly udpPayloadSize?: number;
    readonly extendedRcode?: number;
    readonly ednsVersion?: number;
    readonly flags?: number;
  }
  export interface DataRecord {
    readonly type: 'TXT' | 'SOA' | 'NS' | 'CNAME' | 'A';
    readonly name: string;
    readonly ttl?: number;
    readonly data: unknown;
  }
  export type DnsRecord = OptRecord | DataRecord;
  export interface Packet {
    readonly type?: 'query' | 'response';
    readonly id?: number;
    /** Opcode, flags and response code together. */
    readonly flags?: number;
    readonly questions?: readonly Question[];
    readonly answers?: readonly DnsRecord[];
    readonly authorities?: readonly DnsRecord[];
    readonly additionals?: readonly DnsRecord[];
  }
  export function encode(packet: Packet): Buffer;
  export function decode(bytes: Buffer): Required<Packet> & {
    readonly opcode: string;
    readonly rcode: string;
    readonly flag_tc: boolean;
    readonly flag_aa: boolean;
  };
}
