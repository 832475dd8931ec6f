/**
 * A relay behind a program that ends TLS, configured with the very file of deploy/: only names, paths and ports in it are
 * replaced. What must work there is the same for all of them.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { text as readText } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type AgentUnderTest, CLI, startAgent } from '../harness/agent.ts';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { type ConnectProxy, startConnectProxy } from '../harness/connect-proxy.ts';
import { freePortRange } from '../harness/free-ports.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { type Program, runProgram } from '../harness/program.ts';
import { patternBody, patternSha256 } from '../harness/random.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { everythingIsHere } from '../harness/stage.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';
import { until, within } from '../harness/until.ts';

const DOMAIN = 'tunnel.test';
const SIZE = 100 * 1024 * 1024;
/** Loopback has many addresses: this one is not the front's. */
const VISITOR = '127.0.0.9';

export interface FrontScene {
  readonly folder: TempFolder;
  readonly certificate: CertificateFiles;
  readonly httpsPort: number;
  readonly httpPort: number;
}

export interface FrontKind {
  /** Path below deploy/. */
  readonly file: string;
  /** Writes what it needs besides, and starts it. `config`: the file with its names and ports replaced. */
  readonly start: (config: string, scene: FrontScene) => Program;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly message: IncomingMessage;
}

export function worksBehind(front: FrontKind): void {
  const authority = new TestAuthority();
  let folder: TempFolder;
  let certificate: CertificateFiles;
  let names: ConnectProxy;
  let origin: Origin;
  let relay: RelayUnderTest;
  let program: Program;
  let agent: AgentUnderTest;
  let url: string;
  let httpPort: number;
  let httpsPort: number;

  beforeAll(async () => {
    folder = tempFolder();
    certificate = writeCertificateFiles(authority, [DOMAIN, `*.${DOMAIN}`]);
    names = await startConnectProxy();
    origin = await startOrigin();
    ({ first: httpPort, last: httpsPort } = await freePortRange(2));
    relay = await startRelay({
      domain: DOMAIN,
      config: { public_url: `https://${DOMAIN}:${httpsPort}`, trusted_proxies: ['127.0.0.1'] },
    });
    program = front.start(configOf(), { folder, certificate, httpPort, httpsPort });
    await until('the front listens', () => accepts(httpsPort)).catch((error: unknown) => {
      throw new Error(program.tail(), { cause: error });
    });
    agent = await startAgent({
      relayUrl: `https://${DOMAIN}:${httpsPort}`,
      target: origin.port,
      token: await relay.addToken('ada'),
      env: { HTTPS_PROXY: names.url, PORTHOLE_CA_FILE: certificate.caFile },
    });
    url = await agent.url();
  });

  afterAll(async () => {
    await agent?.close();
    await program?.close();
    await relay?.close();
    await origin?.close();
    await names?.close();
    certificate?.remove();
    folder?.remove();
  });

  function configOf(): string {
    const path = fileURLToPath(new URL(`../../deploy/${front.file}`, import.meta.url));
    const text = readFileSync(path, 'utf8');
    expect(text).toContain('127.0.0.1:8080');
    return text
      .replaceAll('tunnel.example.com', DOMAIN)
      .replaceAll('127.0.0.1:8080', `127.0.0.1:${relay.port}`)
      .replaceAll('/etc/ssl/porthole/fullchain.pem', certificate.chainFile)
      .replaceAll('/etc/ssl/porthole/privkey.pem', certificate.keyFile)
      .replaceAll('/etc/ssl/porthole/porthole.pem', `${folder.path}/porthole.pem`);
  }

  async function visit(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    const request = httpsRequest(`${url}${path}`, {
      ca: certificate.caFile === '' ? undefined : authority.certificatePem,
      lookup: everythingIsHere,
      localAddress: VISITOR,
      agent: false,
      headers,
    });
    request.end();
    const [message] = (await within(`GET ${path}`, once(request, 'response'))) as [IncomingMessage];
    return { status: message.statusCode ?? 0, headers: message.headers, message };
  }

  it('prints an https URL below the domain', () => {
    expect(url).toMatch(new RegExp(`^https://[a-z0-9-]+\\.tunnel\\.test:${httpsPort}$`));
  });

  it('carries the agent by the upgrade, not by the WebSocket it falls back to', async () => {
    const { sessions } = JSON.parse(await relay.admin('/api/status')) as { sessions: { carriers: string[] }[] };
    expect(sessions.map(({ carriers }) => carriers[0])).toEqual(['upgrade']);
    expect(names.seen).toContain(`${DOMAIN}:${httpsPort}`);
  });

  it('brings visitors to the tunnel, and says who they are and how they came', async () => {
    const { status, message } = await visit('/headers', { 'X-Forwarded-For': '8.8.8.8', 'X-Forwarded-Proto': 'http' });
    expect(status).toBe(200);
    const { headers } = JSON.parse(await readText(message)) as { headers: [string, string][] };
    const all = (wanted: string): string[] =>
      headers.flatMap(([name, value]) => (name.toLowerCase() === wanted ? [value] : []));
    // Every hop adds who came to it; what the visitor himself claims is not among them.
    expect(all('x-forwarded-for').join(', ')).toBe(`${VISITOR}, 127.0.0.1`);
    expect(all('x-forwarded-proto')).toEqual(['https']);
    expect(all('host')).toEqual([new URL(url).host]);
    expect(all('x-forwarded-host')).toEqual([new URL(url).host]);
  });

  it('keeps paths as they are', async () => {
    const target = '/a//b/%2F/..%2f/x?y=%20&z';
    const { message } = await visit(target);
    expect(await readText(message)).toBe(`you asked for ${target}\n`);
  });

  it('says what is wrong for a name nobody has', async () => {
    const { status, headers } = await visit('/').then(async () => {
      const stranger = url.replace(/\/\/[^.]+/, '//nobody');
      const request = httpsRequest(stranger, { ca: authority.certificatePem, lookup: everythingIsHere, agent: false });
      request.end();
      const [message] = (await once(request, 'response')) as [IncomingMessage];
      message.resume();
      return { status: message.statusCode, headers: message.headers };
    });
    expect(status).toBe(404);
    expect(headers['porthole-error']).toBe('TUNNEL_NOT_FOUND');
  });

  it('opens WebSockets', async () => {
    const socket = new WebSocket(`${url.replace('https', 'wss')}/socket`, {
      ca: authority.certificatePem,
      lookup: everythingIsHere,
    });
    await within('the WebSocket opens', once(socket, 'open'));
    for (const text of ['one', 'two', 'x'.repeat(1_000_000)]) {
      socket.send(text);
      const [data] = (await within('an echo', once(socket, 'message'))) as [Buffer];
      expect(String(data)).toBe(text);
    }
    socket.close();
    await within('the WebSocket closes', once(socket, 'close'));
  });

  it('passes events on one by one', async () => {
    const { message } = await visit('/events', { Accept: 'text/event-stream' });
    message.setEncoding('utf8');
    for (let count = 0; count < 5; count++) {
      await origin.whenever(() => origin.eventStreams.size === 1);
      const next = once(message, 'data') as Promise<[string]>;
      origin.publish(String(count));
      // If something collected them, this one would not come before the next is sent.
      expect((await within('the event', next))[0]).toContain(`data: ${count}`);
    }
    message.destroy();
    // Not every program in front notices at once, but at the next event each must.
    await until('the application hears that the visitor has left', () => {
      origin.publish('still there?');
      return origin.eventStreams.size === 0;
    });
  });

  it('carries 100 MB down and up', async () => {
    const { message } = await visit(`/size/${SIZE}`);
    const hash = createHash('sha256');
    for await (const chunk of message as AsyncIterable<Buffer>) hash.update(chunk);
    expect(hash.digest('hex')).toBe(patternSha256(SIZE));
    const request = httpsRequest(`${url}/hash`, {
      ca: authority.certificatePem,
      lookup: everythingIsHere,
      agent: false,
      method: 'POST',
      headers: { 'content-length': String(SIZE) },
    });
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    await pipeline(Readable.from(patternBody(SIZE, 128 * 1024)), request);
    const [answer] = await within('the answer to 100 MB', answered);
    expect(JSON.parse(await readText(answer))).toMatchObject({ sha256: patternSha256(SIZE), length: SIZE });
  });

  it('sends visitors of port 80 to https', async () => {
    const request = httpRequest({ host: '127.0.0.1', port: httpPort, path: '/a?b', headers: { Host: `x.${DOMAIN}` } });
    request.end();
    const [message] = (await within('the answer', once(request, 'response'))) as [IncomingMessage];
    message.resume();
    expect([301, 302, 307, 308]).toContain(message.statusCode);
    expect(message.headers.location).toMatch(new RegExp(`^https://x\\.${DOMAIN}(:\\d+)?/a\\?b$`));
  });

  it('pleases the agent’s doctor', async () => {
    const { code, stdout, stderr } = await runProgram({
      name: 'porthole doctor',
      command: CLI.command,
      args: [...CLI.args, 'doctor'],
      cwd: folder.path,
      env: {
        HOME: folder.path,
        XDG_CONFIG_HOME: folder.path,
        PORTHOLE_RELAY: `https://${DOMAIN}:${httpsPort}`,
        PORTHOLE_TOKEN: await relay.addToken('eve'),
        PORTHOLE_CA_FILE: certificate.caFile,
        HTTPS_PROXY: names.url,
      },
    });
    expect(`${code}\n${stdout}\n${stderr}`).toMatch(/^0\n/);
    expect(stdout).toContain('carried by upgrade');
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: '127.0.0.1', port });
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
