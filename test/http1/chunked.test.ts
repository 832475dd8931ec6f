/** The chunked reader against a naive second one, over random bodies, spellings, splits and damage. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeChunked } from './naive-chunked.ts';
import { observeRequests } from './observe.ts';
import { cutBy } from './splits.ts';

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
const RUNS = { numRuns: 500 };

const latin1 = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const extension = fc.constantFrom('', '', ';a', ';a=b', ';a="b c;\\"d"', ';a;b=c');
const sizeOf = fc.record({ zeros: fc.nat({ max: 4 }), upper: fc.boolean() });
const chunk = fc.record({ content: latin1.filter((text) => text.length > 0), size: sizeOf, extension });
const trailer = fc.tuple(fc.constantFrom('A', 'grpc-status', 'x-'), fc.constantFrom('', '0', 'a b', '\xc3\xa4'));
const lengths = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 });
const body = fc.record({
  chunks: fc.array(chunk, { maxLength: 6 }),
  trailers: fc.array(trailer, { maxLength: 3 }),
  end: extension,
});

type Body = typeof body extends fc.Arbitrary<infer Value> ? Value : never;

function encoded({ chunks, trailers, end }: Body): string {
  let text = '';
  for (const { content, size, extension: suffix } of chunks) {
    const digits = '0'.repeat(size.zeros) + content.length.toString(16);
    text += `${size.upper ? digits.toUpperCase() : digits}${suffix}\r\n${content}\r\n`;
  }
  return `${text}0${end}\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

describe('a chunked body', () => {
  it('reads the same as the bytes it was made of, in any split', () => {
    fc.assert(
      fc.property(body, lengths, (parts, cuts) => {
        const text = encoded(parts);
        const content = parts.chunks.map((part) => part.content).join('');
        const trailers = parts.trailers.flat();
        expect(decodeChunked(text)).toEqual({ content, trailers, rest: '' });
        const seen = observeRequests(cutBy(Buffer.from(HEAD + text, 'latin1'), cuts));
        expect(seen.messages).toEqual([expect.objectContaining({ body: content, trailers, complete: true })]);
      }),
      RUNS,
    );
  });

  it('with damage is whole exactly when the naive reader says so', () => {
    const byte = fc.constantFrom('\r', '\n', '\r\n', ' ', '\t', ';', '"', '0', 'a', 'g', ':', '\0', '\xff', '');
    const damage = fc.record({ at: fc.nat(), remove: fc.nat({ max: 2 }), insert: byte });
    let whole = 0;
    fc.assert(
      fc.property(body, fc.array(damage, { minLength: 1, maxLength: 2 }), lengths, (parts, places, cuts) => {
        let text = encoded(parts);
        for (const { at, remove, insert } of places) {
          const from = at % (text.length + 1);
          text = text.slice(0, from) + insert + text.slice(from + remove);
        }
        const naive = decodeChunked(text);
        const [message] = observeRequests(cutBy(Buffer.from(HEAD + text, 'latin1'), cuts)).messages;
        expect(message?.complete).toBe(naive !== undefined);
        if (naive === undefined) return;
        whole++;
        expect(message).toMatchObject({ body: naive.content, trailers: naive.trailers });
      }),
      { numRuns: 1500 },
    );
    expect(whole).toBeGreaterThan(50);
  });
});
