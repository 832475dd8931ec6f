import { decodeResponse, type ExchangeRequest, type Origin, type Stream, type StreamSink } from '@porthole/agent';
import { describe, expect, it } from 'vitest';
import { GuardedOrigin } from './guarded-origin.ts';

class Answer implements Stream {
  status: number | undefined;
  body = '';
  fields: string[] = [];
  sendHead(block: string): void {
    ({ status: this.status, fields: this.fields } = decodeResponse(block));
  }
  write(chunk: Buffer): boolean {
    this.body += chunk.toString();
    return true;
  }
  sendTrailers(): void {}
  end(): void {}
  reset(): void {}
  consumed(): void {}
}

class Inner implements Origin {
  request: ExchangeRequest | undefined;
  openExchange(request: ExchangeRequest): StreamSink {
    this.request = request;
    return { onHead() {}, onData() {}, onTrailers() {}, onEnd() {}, onReset() {}, onWritable() {} };
  }
  openRaw(): StreamSink {
    return expect.unreachable();
  }
  close(): void {}
}

function ask(
  method: string,
  fields: string[],
): { status: number | undefined; reached: string[] | undefined; answer: Answer } {
  const [inner, answer] = [new Inner(), new Answer()];
  new GuardedOrigin(inner, 'ada:pass:word').openExchange(
    {
      method,
      target: '/',
      scheme: 'https',
      authority: 'x',
      visitorAddress: '',
      bodiless: true,
      upgrade: false,
      fields,
    },
    answer,
  );
  return { status: answer.status, reached: inner.request?.fields, answer };
}

const basic = (credential: string): string => `Basic ${Buffer.from(credential).toString('base64')}`;
const RIGHT = basic('ada:pass:word');
const PREFLIGHT = ['Origin', 'https://a', 'Access-Control-Request-Method', 'PUT'];

describe('the gate', () => {
  const rows: [string, string, string[], string[] | 401][] = [
    [
      'the right credential, which the origin never sees',
      'GET',
      ['Accept', '*', 'Authorization', RIGHT],
      ['Accept', '*'],
    ],
    ['the scheme in any case', 'GET', ['authorization', RIGHT.replace('Basic', 'basic')], []],
    [
      'its own field beside the credential of the application',
      'GET',
      ['Authorization', 'Bearer app', 'Porthole-Authorization', RIGHT],
      ['Authorization', 'Bearer app'],
    ],
    [
      'two credentials, one of them right',
      'GET',
      ['Authorization', 'Bearer app', 'Authorization', RIGHT],
      ['Authorization', 'Bearer app'],
    ],
    ['a preflight, which cannot carry one', 'OPTIONS', PREFLIGHT, PREFLIGHT],
    ['nothing', 'GET', [], 401],
    ['OPTIONS that is no preflight', 'OPTIONS', ['Origin', 'https://a'], 401],
    ['another method that looks like a preflight', 'POST', PREFLIGHT, 401],
    ['a wrong password', 'GET', ['Authorization', basic('ada:pass')], 401],
    ['a wrong user', 'GET', ['Authorization', basic('bob:pass:word')], 401],
    ['another scheme', 'GET', ['Authorization', RIGHT.replace('Basic', 'Bearer')], 401],
    ['no base64', 'GET', ['Authorization', 'Basic ada:pass:word'], 401],
  ];
  it.each(rows)('with %s', (_what, method, fields, expected) => {
    const { status, reached } = ask(method, fields);
    expect(expected === 401 ? status : reached).toEqual(expected);
    if (expected === 401) expect(reached).toBeUndefined();
  });

  it('says how to pass, and HEAD has no body', () => {
    expect(ask('GET', []).answer.fields).toContain('Basic realm="porthole", charset="UTF-8"');
    expect(ask('GET', []).answer.body).not.toBe('');
    expect(ask('HEAD', []).answer.body).toBe('');
  });
});
