import { encodeResponse } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { ResponseHeads, soundResponse } from './sound-response.ts';

const block = (...fields: string[]): string => encodeResponse({ status: 200, reason: 'OK', fields });

describe('a response from an agent', () => {
  it('with one length goes on as it came', () => {
    const response = soundResponse(
      block('Server', 'x: y', 'content-LENGTH', '35', 'X-Empty', '', 'set-cookie', '\xe4=1'),
    );
    expect(response).toMatchObject({ status: 200, reason: 'OK', plainLength: 35 });
    const head = 'HTTP/1.1 200 OK\r\nServer: x: y\r\ncontent-LENGTH: 35\r\nX-Empty: \r\nset-cookie: \xe4=1\r\n\r\n';
    // As text the first time, as bytes when it comes again.
    expect(response?.plainHead()).toBe(head);
    expect(response?.plainHead()).toEqual(Buffer.from(head, 'latin1'));
    expect(response?.plainHead()).toEqual(Buffer.from(head, 'latin1'));
    expect(response?.fields).toEqual(['Server', 'x: y', 'content-LENGTH', '35', 'X-Empty', '', 'set-cookie', '\xe4=1']);
  });

  it.each([
    ['no length', block('Server', 'x')],
    ['two lengths', block('Content-Length', '5', 'Content-Length', '5')],
    ['two lengths apart', block('Content-Length', '5', 'a', 'b', 'content-length', '6')],
    ['an odd length', block('Content-Length', '+5')],
    ['a length with a leading zero', block('Content-Length', '05')],
    ['a length of twenty digits', block('Content-Length', '99999999999999999999')],
    ...[
      'Connection',
      'Transfer-Encoding',
      'Keep-Alive',
      'TE',
      'Upgrade',
      'Alt-Svc',
      'Proxy_Connection',
      'Porthole-Error',
    ].map((name): [string, string] => [name, block('Content-Length', '5', name, 'x')]),
  ])('with %s is taken apart', (_what, text) => {
    expect(soundResponse(text)).toBeDefined();
    expect(soundResponse(text)?.plainLength).toBeUndefined();
  });

  it.each([
    ['a line break in its reason', '200\0O\r\nK\0'],
    ['a bare LF in a value', '200\0OK\0a: b\nc: d\r\n'],
    ['a bare CR in a value', '200\0OK\0a: b\rc\r\n'],
    ['an empty line among its fields', '200\0OK\0a: b\r\n\r\nc: d\r\n'],
    ['a folded line', '200\0OK\0a: b\r\n c: d\r\n'],
    ['a blank before a colon', '200\0OK\0Content-Length : 5\r\n'],
    ['half a line', '200\0OK\0a: b'],
    ['a NUL in a value', '200\0OK\0a: \0\r\n'],
    ['no fields part', '200\0OK'],
    ['a status of two digits', '20\0OK\0'],
  ])('with %s is not taken', (_what, text) => {
    expect(soundResponse(text)).toBeUndefined();
  });

  it('is looked at in a time that grows with its length only', () => {
    const fields = Array.from({ length: 10_000 }, () => ['content', '']).flat();
    expect(soundResponse(block(...fields))?.fields.length).toBe(20_000);
    expect(soundResponse(`${block(...fields)} `)).toBeUndefined();
  });

  it('is not made of a field with a line break', () => {
    expect(() => block('a', 'b\r\nc: d')).toThrow(expect.objectContaining({ code: 'ORIGIN_BAD_RESPONSE' }));
  });
});

describe('response heads that follow each other', () => {
  it('are read once when they are the same, and never taken for another', () => {
    const heads = new ResponseHeads();
    const blocks = [block('A', 'b', 'Content-Length', '1'), block('A', 'c', 'Content-Length', '1'), 'nonsense'];
    for (const text of [...blocks, ...blocks, ...blocks.toReversed()]) {
      const alone = soundResponse(text);
      const read = heads.read(text);
      expect(read?.fields).toEqual(alone?.fields);
      expect(read?.plainLength).toBe(alone?.plainLength);
      expect(heads.read(text)).toBe(read);
    }
    const long = block('A', 'x'.repeat(5_000));
    expect(heads.read(long)).not.toBe(heads.read(long));
  });
});
