import { once } from 'node:events';
import * as tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestAuthority } from '../../../../test/harness/certificates.ts';
import { Listener } from '../../../../test/harness/listener.ts';
import { patternBody } from '../../../../test/harness/random.ts';
import { readMemory, tapOf, tapSecureSocket } from '../node.ts';

const authority = new TestAuthority();
const { keyPem, chainPem } = authority.issue(['a.test']);
const BODY = Buffer.concat([...patternBody(1_000_000, 50_000)]);

let listener: Listener;
let accepted: tls.TLSSocket;
let other: tls.TLSSocket;

beforeAll(async () => {
  const server = tls.createServer({ key: keyPem, cert: chainPem, allowHalfOpen: true });
  listener = await new Listener(server).listen();
  const arrived = once(server, 'secureConnection');
  other = tls.connect({ port: listener.port, host: '127.0.0.1', servername: 'a.test', ca: authority.certificatePem });
  [accepted] = (await arrived) as [tls.TLSSocket];
  tapSecureSocket(accepted, readMemory());
});
afterAll(async () => {
  other.destroy();
  accepted.destroy();
  await listener.close();
});

/** What `start` makes come in, until there are `length` bytes. */
async function gathered(length: number, start: (take: (chunk: Buffer) => void) => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  await new Promise<void>((resolve) =>
    start((chunk) => {
      chunks.push(Buffer.from(chunk));
      bytes += chunk.length;
      if (bytes >= length) resolve();
    }),
  );
  return Buffer.concat(chunks);
}

describe('a TLS socket read through a tap', () => {
  it('is an ordinary one while there is no reader', async () => {
    const got = await gathered(BODY.length, (take) => {
      accepted.on('data', take);
      other.write(BODY);
    });
    expect(got.equals(BODY)).toBe(true);
    accepted.removeAllListeners('data');
    accepted.pause();
  });

  it('gives its reader everything in order, what waited first, and nothing while it is paused', async () => {
    const tap = tapOf(accepted);
    if (tap === undefined) throw new Error('this Node does not allow it');
    accepted.unshift(Buffer.from('early'));
    const got = await gathered(5 + BODY.length, (take) => {
      let records = 0;
      const read = (chunk: Buffer): void => {
        expect(accepted.isPaused()).toBe(false);
        take(chunk);
        records += 1;
        if (records % 3 !== 0) return;
        accepted.pause();
        setImmediate(() => accepted.resume());
      };
      accepted.on('data', read);
      tap.reader = read;
      accepted.resume();
      other.write(BODY);
    });
    expect(got.subarray(0, 5).toString()).toBe('early');
    expect(got.subarray(5).equals(BODY)).toBe(true);
  });

  it('ends', async () => {
    const ended = once(accepted, 'end');
    other.end();
    await ended;
  });
});
