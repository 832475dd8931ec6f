/** Which record an operator or user sets once, so that this relay can prove names by DNS without any provider's token. */
import { createHash } from 'node:crypto';

export interface Delegation {
  /** The record to make, without trailing dot. */
  readonly name: string;
  readonly type: 'NS' | 'CNAME';
  /** What it points to. */
  readonly value: string;
}

/** The record inside the zone where the values for a name are looked up. `name` is without `*.`. */
export function challengeRecordOf(zone: string, name: string): string {
  const direct = `_acme-challenge.${name}`;
  if (direct === zone || direct.endsWith(`.${zone}`)) return direct;
  return `${createHash('sha256').update(name).digest('hex').slice(0, 32)}.${zone}`;
}

/** What to set for a name: a CNAME into the zone, or, where the zone is the challenge name itself, its NS record. */
export function delegationOf(zone: string, name: string, nameServer: string): Delegation {
  const direct = `_acme-challenge.${name}`;
  const record = challengeRecordOf(zone, name);
  return record === direct
    ? { name: zone, type: 'NS', value: nameServer }
    : { name: direct, type: 'CNAME', value: record };
}
