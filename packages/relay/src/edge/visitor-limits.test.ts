import * as net from 'node:net';
import { describe, expect, it } from 'vitest';
import { HalfOpenSockets } from './half-open.ts';
import { TrustedAddresses } from './trusted-addresses.ts';
import { VisitorLimits } from './visitor-limits.ts';
import { sourceOf } from '../access/source-of.ts';

describe('who counts as one visitor', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2::1', '20010db800010002'],
    ['2001:db8:1:2:ffff:ffff:ffff:ffff', '20010db800010002'],
    ['2001:db8:1:3::1', '20010db800010003'],
    ['', ''],
    ['not an address: at all', 'not an address: at all'],
  ])('%s is counted as %s', (address, source) => {
    expect(sourceOf(address)).toBe(source);
  });
});

describe('the limits', () => {
  it('hold for a whole IPv6 network, and each who leaves makes room', () => {
    const limits = new VisitorLimits(100, 2, new TrustedAddresses([]));
    expect(limits.enter('2001:db8::1')).toBe(true);
    expect(limits.enter('2001:db8::2')).toBe(true);
    expect(limits.enter('2001:db8::3')).toBe(false);
    expect(limits.enter('2001:db8:0:1::1')).toBe(true);
    limits.leave('2001:db8::1');
    expect(limits.enter('2001:db8::3')).toBe(true);
  });

  it('do not hold for a trusted proxy, only for all visitors together', () => {
    const limits = new VisitorLimits(3, 1, new TrustedAddresses(['fd00::1']));
    for (const _ of [1, 2, 3]) expect(limits.enter('fd00::1')).toBe(true);
    expect(limits.enter('fd00::1')).toBe(false);
  });
});

describe('half-open connections', () => {
  it('of one IPv6 network make room for each other', () => {
    const halfOpen = new HalfOpenSockets({ max: 10, maxPerAddress: 2 });
    const sockets = [1, 2, 3].map(() => new net.Socket());
    sockets.forEach((socket, index) => halfOpen.enter(socket, `2001:db8::${index}`));
    expect(sockets.map((socket) => socket.destroyed)).toEqual([true, false, false]);
    for (const socket of sockets) {
      halfOpen.leave(socket);
      socket.destroy();
    }
    expect(halfOpen.size).toBe(0);
  });
});
