import { ERRORS, type ErrorCode } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { type AnswerFor, ownAddressAnswer, ownAnswer, UNREADABLE } from './own-answers.ts';

const PLAIN: AnswerFor = { accept: '*/*', method: 'GET', minor: 1, keepAlive: true };

function parts(answer: string): { head: string; body: string } {
  const end = answer.indexOf('\r\n\r\n');
  return { head: answer.slice(0, end + 2), body: answer.slice(end + 4) };
}

describe('an answer of the relay itself', () => {
  it('has status, code, no-store, the right length, and says what to do, for every code a visitor can meet', () => {
    const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => 'status' in ERRORS[code]);
    expect(codes.length).toBeGreaterThan(20);
    for (const code of codes) {
      for (const accept of ['*/*', 'text/html,application/xhtml+xml', 'application/json']) {
        const { head, body } = parts(ownAnswer(code, { ...PLAIN, accept }));
        expect(head).toContain(`HTTP/1.1 ${(ERRORS[code] as { status: number }).status} `);
        expect(head).toContain(`\r\nPorthole-Error: ${code}\r\n`);
        expect(head).toContain('\r\nCache-Control: no-store\r\n');
        expect(head).toContain(`\r\nContent-Length: ${body.length}\r\n`);
        expect(head.includes('\r\nRetry-After: ')).toBe((ERRORS[code] as { status: number }).status === 503);
        expect(body).toContain(code);
      }
    }
  });

  it('is one line of text by default', () => {
    const { head, body } = parts(ownAnswer('AGENT_AWAY', PLAIN));
    expect(head).toContain('\r\nContent-Type: text/plain; charset=utf-8\r\n');
    expect(body).toBe(`AGENT_AWAY: ${ERRORS.AGENT_AWAY.message} ${ERRORS.AGENT_AWAY.hint}\n`);
  });

  it('is JSON for who asks for JSON', () => {
    for (const accept of ['application/json', 'application/problem+json, */*']) {
      const { head, body } = parts(ownAnswer('ORIGIN_REFUSED', { ...PLAIN, accept }));
      expect(head).toContain('\r\nContent-Type: application/json\r\n');
      expect(JSON.parse(body)).toEqual({
        error: {
          code: 'ORIGIN_REFUSED',
          status: 502,
          message: ERRORS.ORIGIN_REFUSED.message,
          hint: ERRORS.ORIGIN_REFUSED.hint,
        },
      });
    }
  });

  it('is a small page for browsers, with everything escaped', () => {
    const { head, body } = parts(ownAnswer('BAD_REQUEST', { ...PLAIN, accept: 'text/html' }, '<script>"&\''));
    expect(head).toContain('\r\nContent-Type: text/html; charset=utf-8\r\n');
    expect(body).toContain('&lt;script&gt;&quot;&amp;&#39;');
    expect(body).not.toContain('<script>');
    expect(body).not.toMatch(/(?:src|href)=/);
    expect(body.length).toBeLessThan(2000);
  });

  it('has no body for HEAD, but its length', () => {
    const { head, body } = parts(ownAnswer('TUNNEL_NOT_FOUND', { ...PLAIN, method: 'HEAD' }));
    expect(body).toBe('');
    expect(head).toMatch(/\r\nContent-Length: [1-9]\d+\r\n/);
  });

  it('says whether the connection stays', () => {
    expect(ownAnswer('TUNNEL_NOT_FOUND', PLAIN)).not.toContain('Connection:');
    expect(ownAnswer('TUNNEL_NOT_FOUND', { ...PLAIN, minor: 0 })).toContain('\r\nConnection: keep-alive\r\n');
    expect(ownAnswer('BAD_REQUEST', UNREADABLE)).toContain('\r\nConnection: close\r\n');
  });

  it('tells who comes to the relay itself what it is', () => {
    const { head, body } = parts(ownAddressAnswer(PLAIN));
    expect(head).toContain('\r\nPorthole-Error: TUNNEL_NOT_FOUND\r\n');
    expect(body).toContain('Porthole relay');
  });

  it('sends text outside latin1 as UTF-8 with the right length', () => {
    const { head, body } = parts(ownAnswer('TARGET_INVALID', PLAIN));
    expect(Buffer.from(body, 'latin1').toString('utf8')).toContain(ERRORS.TARGET_INVALID.hint);
    expect(head).toContain(`\r\nContent-Length: ${body.length}\r\n`);
  });
});
