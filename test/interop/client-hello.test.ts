/** ClientHellos of OpenSSL and curl, cut into small records, on a door that peeks and then ends TLS itself. */
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CertificateIndex } from '../../packages/relay/src/tls/certificate-index.ts';
import { type ClientHelloResult, ClientHelloReader, fatalAlert } from '../../packages/relay/src/tls/client-hello.ts';
import { TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { installed, missing } from '../harness/debian.ts';
import { Listener } from '../harness/listener.ts';
import { runProgram } from '../harness/program.ts';

const files = writeCertificateFiles(new TestAuthority(), ['a.example']);
const index = new CertificateIndex();
index.set({ id: 'a', names: ['a.example'], keyPem: files.keyPem, chainPem: files.chainPem, notAfterMs: 1 });
const results: ClientHelloResult[] = [];
const records: number[] = [];
let door: Listener;
let tlsServer: ReturnType<typeof createTlsServer>;

function serve(socket: Socket): void {
  const reader = new ClientHelloReader();
  const look = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    const result = reader.push(chunk);
    if (result.state === 'needMore') return;
    socket.off('readable', look);
    results.push(result);
    records.push(countRecords(reader.bytes()));
    if (result.state === 'done' && result.hello.serverName === 'a.example') {
      socket.unshift(reader.bytes());
      tlsServer.emit('connection', socket);
    } else socket.end(fatalAlert('unrecognized_name'));
  };
  socket.on('readable', look);
}

function countRecords(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) count++;
  return count;
}

beforeAll(async () => {
  tlsServer = createTlsServer({
    key: files.keyPem,
    cert: files.chainPem,
    ALPNProtocols: ['http/1.1'],
    SNICallback: (name, done) => done(null, index.choose(name)),
  });
  tlsServer.on('secureConnection', (socket: TLSSocket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello')),
  );
  tlsServer.on('tlsClientError', () => undefined);
  door = await new Listener(createServer(serve)).listen();
});
afterAll(async () => {
  await door.close();
  files.remove();
});

async function openssl(...args: string[]): Promise<string> {
  const ran = await runProgram({
    name: 'openssl s_client',
    command: installed('openssl') ?? '',
    args: ['s_client', '-connect', `127.0.0.1:${door.port}`, '-CAfile', files.caFile, '-ign_eof', ...args],
    input: 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n',
  });
  return ran.stdout + ran.stderr;
}

describe.skipIf(missing('openssl'))('a ClientHello of OpenSSL', () => {
  const longAlpn = [...Array.from({ length: 40 }, (_, i) => `protocol-number-${i}`), 'http/1.1'].join(',');

  it.each([
    ['TLS 1.3', ['-tls1_3'], 1],
    ['TLS 1.2', ['-tls1_2'], 1],
    ['small records', ['-max_send_frag', '512', '-alpn', longAlpn], 2],
  ])('is read and answered: %s', async (_what, args, leastRecords) => {
    const output = await openssl('-servername', 'A.Example', '-verify_return_error', ...args);
    expect(output).toContain('hello');
    expect(output).toContain('Verify return code: 0 (ok)');
    expect(results.at(-1)).toMatchObject({ state: 'done', hello: { serverName: 'a.example', acmeChallenge: false } });
    expect(records.at(-1)).toBeGreaterThanOrEqual(leastRecords);
  });

  it('tells its ALPN', async () => {
    await openssl('-servername', 'a.example', '-alpn', 'http/1.1,h2');
    expect(results.at(-1)).toMatchObject({ hello: { alpn: ['http/1.1', 'h2'] } });
    await openssl('-servername', 'elsewhere.example', '-alpn', 'acme-tls/1');
    expect(results.at(-1)).toMatchObject({
      hello: { serverName: 'elsewhere.example', alpn: ['acme-tls/1'], acmeChallenge: true },
    });
  });

  it('without a name, or with one we do not have, meets an alert that says so', async () => {
    expect(await openssl('-noservername')).toMatch(/unrecognized name/);
    expect(results.at(-1)).toEqual({ state: 'done', hello: { alpn: [], acmeChallenge: false } });
    expect(await openssl('-servername', 'elsewhere.example')).toMatch(/unrecognized name/);
  });
});

describe.skipIf(missing('curl'))('a ClientHello of curl', () => {
  it('is read and answered', async () => {
    const ran = await runProgram({
      name: 'curl',
      command: installed('curl') ?? '',
      args: [
        '-sS',
        '--cacert',
        files.caFile,
        '--connect-to',
        `a.example:443:127.0.0.1:${door.port}`,
        'https://a.example/',
      ],
    });
    expect(ran.stdout).toBe('hello');
    expect(results.at(-1)).toMatchObject({ hello: { serverName: 'a.example', alpn: ['h2', 'http/1.1'] } });
  });
});
