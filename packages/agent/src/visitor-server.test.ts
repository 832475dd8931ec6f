/** HTTP with visitors whose TLS has ended here: what reaches the target, what comes back, byte by byte where it matters. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import * as net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { originFor } from './origin-for.ts';
import { VisitorServer } from './visitor-server.ts';

let target: Server;
let door: net.Server;
let visitors: VisitorServer;
let refusing: VisitorServer;
/** Ports of doors before the target, and before nobody. */
let port: number;
let deadPort: number;
let aborted = Promise.withResolvers<void>();

const portOf = (server: net.Server): number => (server.address() as net.AddressInfo).port;

async function listening(server: net.Server): Promise<net.Server> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

beforeAll(async () => {
  target = createServer((request, response) => {
    const { url, method, rawHeaders } = request;
    if (url === '/hang') {
      response.on('close', () => aborted.resolve());
      return;
    }
    if (url === '/early') {
      response.writeHead(403, ['X-B', '1', 'x-a', '2', 'X-B', '3']).end('no');
      return;
    }
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (url === '/interim') response.writeEarlyHints({ link: '</a>; rel=preload' });
      if (url === '/trailers') response.setHeader('Trailer', 'X-End');
      response.write(JSON.stringify({ method, url, rawHeaders, body, trailers: request.rawTrailers }));
      if (url === '/trailers') response.addTrailers({ 'X-End': 'yes' });
      response.end();
    });
  });
  target.on('upgrade', (request, socket, head) => {
    if (request.url === '/refused') return void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n');
    socket.write(head);
    socket.pipe(socket);
  });
  await listening(target);
  visitors = new VisitorServer(originFor('http', portOf(target)));
  door = await listening(net.createServer({ allowHalfOpen: true }, (socket) => visitors.serve(socket, '203.0.113.9')));
  port = portOf(door);
  const closed = await listening(net.createServer());
  refusing = new VisitorServer(originFor('http', portOf(closed), { waitForOriginMs: 0 }));
  closed.close();
  const deadDoor = net.createServer((socket) => refusing.serve(socket, '203.0.113.9')).unref();
  deadPort = portOf(await listening(deadDoor));
});
afterAll(async () => {
  visitors.close();
  refusing.close();
  target.closeAllConnections();
  target.close();
  door.close();
});

/** Says it all at once and gives what has come when `isAll`, by default at the end. */
async function say(text: string, isAll: (answer: string) => boolean = () => false, to = port): Promise<string> {
  const socket = net.connect(to, '127.0.0.1');
  socket.write(text, 'latin1');
  let answer = '';
  for await (const chunk of socket) {
    answer += (chunk as Buffer).toString('latin1');
    if (isAll(answer)) break;
  }
  socket.destroy();
  return answer;
}

const CLOSE = 'Host: Shop.example:8443\r\nConnection: close\r\n\r\n';

/** What the target was told, from an answer that holds it. */
function told(answer: string): { url: string; rawHeaders: string[]; body: string; trailers: string[] } {
  return JSON.parse(/\{.*\}/.exec(answer)?.[0] ?? '{}') as ReturnType<typeof told>;
}

describe('a request', () => {
  it('goes on as it is, with who the visitor is, and without what he says about that', async () => {
    const answer = await say(
      `GET /a%2f?q=%C3 HTTP/1.1\r\nx-B: 1\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-b: 2\r\n${CLOSE}`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer).not.toMatch(/^date:.*date:/ims);
    const { url, rawHeaders } = told(answer);
    expect(url).toBe('/a%2f?q=%C3');
    expect(rawHeaders.slice(0, 6)).toEqual(['x-B', '1', 'X-b', '2', 'Host', 'Shop.example:8443']);
    expect(rawHeaders.join(' ')).toMatch(
      /X-Forwarded-For 203\.0\.113\.9 X-Forwarded-Host Shop\.example:8443 X-Forwarded-Proto https Via 1\.1 porthole/,
    );
    expect(rawHeaders.join(' ')).not.toContain('6.6.6.6');
  });

  it('may have a body of known or unknown length, with trailers, and another one behind it', async () => {
    const answer = await say(
      'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none' +
        'POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\ntwo\r\n0\r\nX-T: t\r\n\r\n' +
        `GET /trailers HTTP/1.1\r\n${CLOSE}`,
    );
    const answers = answer.split('HTTP/1.1 200 OK').slice(1).map(told);
    expect(answers.map(({ url, body, trailers }) => [url, body, trailers])).toEqual([
      ['/1', 'one', []],
      ['/2', 'two', ['X-T', 't']],
      ['/trailers', '', []],
    ]);
    expect(answer).toContain('\r\nX-End: yes\r\n');
  });

  it('gets interim answers, and fields in the order and case of the target', async () => {
    expect(await say(`GET /interim HTTP/1.1\r\n${CLOSE}`)).toMatch(
      /^HTTP\/1.1 103 Early Hints\r\nlink: <\/a>; rel=preload\r\n\r\nHTTP\/1.1 200 OK\r\n/i,
    );
    const answer = await say(
      'POST /early HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
      (text) => text.endsWith('0\r\n\r\n'),
    );
    expect(answer).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 403 Forbidden\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n/);
  });

  it('waits for the target’s 100 before it sends its body', async () => {
    const head = 'POST /c HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n';
    const answer = say(`${head}${CLOSE}`, (text) => text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
    expect(await answer).toBe('HTTP/1.1 100 Continue\r\n\r\n');
  });

  it('is answered also after the visitor has closed his side', async () => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end(`GET /half HTTP/1.1\r\nHost: a\r\n\r\n`);
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toContain('200 OK');
    socket.destroy();
  });

  it('is told of at the target when the visitor leaves', async () => {
    aborted = Promise.withResolvers<void>();
    const socket = net.connect(port, '127.0.0.1');
    socket.write('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(target, 'request');
    socket.destroy();
    await aborted.promise;
  });

  it('to a target that is not there gets the code and what to do', async () => {
    const answer = await say(`GET / HTTP/1.1\r\n${CLOSE}`, undefined, deadPort);
    expect(answer).toMatch(/^HTTP\/1.1 502 Bad Gateway\r\n[^]*porthole-error: ORIGIN_REFUSED\r\n[^]*Start the service/);
  });

  it.each([
    ['two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['an odd host', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
    ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx', 400],
    ['length and chunks', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 501],
    ['nonsense', 'hello\r\n\r\n', 400],
    ['a loop', `GET / HTTP/1.1\r\nHost: a\r\n${'Via: 1.1 porthole\r\n'.repeat(3)}\r\n`, 508],
  ])('with %s is refused', async (_what, text, status) => {
    expect(await say(text)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  it('with an absolute target is one for its host', async () => {
    const { url, rawHeaders } = told(await say(`GET http://b.example/x HTTP/1.1\r\n${CLOSE}`));
    expect([url, rawHeaders[rawHeaders.indexOf('Host') + 1]]).toEqual(['/x', 'b.example']);
  });
});

describe('a request to leave HTTP', () => {
  const ask = (path: string): string =>
    `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n`;

  it('becomes a raw line after the 101, with what was sent ahead', async () => {
    const answer = await say(`${ask('/chat')}ahead`, (text) => text.endsWith('ahead'));
    expect(answer).toBe('HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nahead');
  });

  it('may be refused', async () => {
    expect(await say(ask('/refused'))).toMatch(/^HTTP\/1.1 403 Forbidden\r\n[^]*\r\n\r\nno$/);
  });
});
