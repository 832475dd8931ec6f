import { beforeEach, describe, expect, it } from 'vitest';
import { LocalSessionPlaces } from '../routing/session-places.ts';
import { SessionLedger } from './session-ledger.ts';

const LIMITS = { maxSessions: 5, maxSessionsPerUser: 2 };
let ledger: SessionLedger;

beforeEach(() => {
  ledger = new SessionLedger();
  ledger.enter('g1.1');
  ledger.enter('g1.2');
});

/** `ok`, or why not. */
function take(node: string, identity: string): string {
  const reply = ledger.take(node, { identity, ...LIMITS });
  return reply.ok ? 'ok' : reply.code;
}

describe('SessionLedger', () => {
  it('counts the sessions of an identity over all workers, and keeps the others’ places free', () => {
    expect([take('g1.1', 'ann'), take('g1.2', 'ann'), take('g1.1', 'ann')]).toEqual(['ok', 'ok', 'SESSION_LIMIT']);
    expect([take('g1.1', 'bob'), take('g1.2', 'bob'), take('g1.1', 'cy'), take('g1.1', 'di')]).toEqual([
      'ok',
      'ok',
      'ok',
      'RELAY_FULL',
    ]);
    ledger.leave('g1.2', 'ann');
    expect([take('g1.1', 'di'), take('g1.1', 'ann')]).toEqual(['ok', 'RELAY_FULL']);
  });

  it('makes room for those that move: a worker on its way out is not counted, and takes nobody', () => {
    take('g1.1', 'ann');
    take('g1.1', 'ann');
    ledger.enter('g2.3');
    ledger.retire('g1.1');
    expect([take('g2.3', 'ann'), take('g2.3', 'ann'), take('g1.1', 'bob')]).toEqual(['ok', 'ok', 'GOING_AWAY']);
    ledger.leave('g1.1', 'ann');
    ledger.retire('g1.1');
    expect(take('g1.2', 'ann')).toBe('SESSION_LIMIT');
  });

  it('gives nothing back that was not taken', () => {
    ledger.leave('g1.1', 'ann');
    take('g1.1', 'ann');
    ledger.leave('g1.2', 'ann');
    expect([take('g1.2', 'ann'), take('g1.2', 'ann')]).toEqual(['ok', 'SESSION_LIMIT']);
  });
});

describe('LocalSessionPlaces', () => {
  it('gives a place back once', () => {
    const places = new LocalSessionPlaces(LIMITS);
    const [first, second] = [places.take('ann'), places.take('ann')];
    expect([first.ok, second.ok]).toEqual([true, true]);
    expect(places.take('ann')).toMatchObject({ ok: false, code: 'SESSION_LIMIT', detail: 'at most 2' });
    if (first.ok) {
      first.leave();
      first.leave();
    }
    expect([places.take('ann').ok, places.take('ann').ok]).toEqual([true, false]);
  });
});
