/** A page in a real browser that follows events, talks over a WebSocket, uploads and downloads, all at once; over plain HTTP, and in HTTP/2 over TLS. */
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { type BrowserUnderTest, startChromium } from '../harness/chromium.ts';
import { missing } from '../harness/debian.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { patternSha256 } from '../harness/random.ts';
import { type Stage, startStage } from '../harness/stage.ts';
import { until } from '../harness/until.ts';

const SIZE = 20 * 1024 * 1024;

/** What the page does; `window.result` tells how far it is. */
const PAGE = `<!doctype html><link rel="icon" href="data:,"><title>test page</title><script type="module">
const result = (window.result = { events: [], messages: [], down: undefined, up: undefined, images: 0, failures: [] });
const hex = async (bytes) => [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map((b) => b.toString(16).padStart(2, '0')).join('');
const source = new EventSource('/events');
source.onmessage = (event) => result.events.push(event.data);
source.onerror = () => result.failures.push('event source');
const socket = new WebSocket(location.href.replace('http', 'ws') + 'socket');
socket.onopen = () => { for (let i = 0; i < 50; i++) socket.send('message ' + i); };
socket.onmessage = (event) => result.messages.push(event.data);
socket.onerror = () => result.failures.push('web socket');
const fail = (what) => (error) => result.failures.push(what + ': ' + error);
fetch('/size/${SIZE}').then((r) => r.arrayBuffer()).then(async (b) => { result.down = { length: b.byteLength, sha256: globalThis.isSecureContext ? await hex(b) : undefined }; }).catch(fail('download'));
const body = new Uint8Array(${SIZE}).fill(7);
fetch('/hash', { method: 'POST', body }).then((r) => r.json()).then((seen) => { result.up = seen; }).catch(fail('upload'));
for (let i = 0; i < 30; i++) fetch('/size/' + i * 100).then((r) => r.arrayBuffer()).then((b) => { if (b.byteLength === i * 100) result.images++; }).catch(fail('small ' + i));
</script>`;

describe.skipIf(missing('chromium', 'certutil'))('Chromium', () => {
  let files: CertificateFiles;
  let origin: Origin;
  let stage: Stage;
  let chromium: BrowserUnderTest;

  beforeAll(async () => {
    origin = await startOrigin({
      route: (request, response, url) => {
        if (url.pathname !== '/') return false;
        response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
        return request !== undefined;
      },
    });
    const authority = new TestAuthority();
    files = writeCertificateFiles(authority, ['localhost', 'web.localhost']);
    const tls = { certificates: [{ cert: files.chainFile, key: files.keyFile }] };
    stage = await startStage(origin.port, {
      relay: { config: { https: '127.0.0.1:0', redirect_http: false, tls } },
      agent: { name: 'web' },
    });
    chromium = await startChromium(authority.certificatePem);
  });
  afterAll(async () => {
    await chromium?.close();
    await stage?.close();
    await origin?.close();
    files?.remove();
  });

  it.each([
    ['http', 'http/1.1'],
    ['https', 'h2'],
  ])(
    'over %s: follows events, exchanges messages, downloads and uploads at once, without one failed request',
    async (scheme, protocol) => {
      const url = scheme === 'http' ? stage.relay.urlOf('web') : stage.url;
      expect(new URL(url).protocol).toBe(`${scheme}:`);
      const ways: (string | undefined)[] = [];
      origin.server.once('upgrade', (request: IncomingMessage) => ways.push(request.headers.via));
      const { page, troubles } = await chromium.open(`${url}/`);
      const spoken = "performance.getEntriesByType('navigation')[0].nextHopProtocol";
      expect(await page.evaluate<string>(spoken)).toBe(protocol);
      await origin.whenever(() => origin.eventStreams.size === 1);
      for (let i = 0; i < 10; i++) origin.publish(`event ${i}`);
      type Result = {
        events: string[];
        messages: string[];
        down?: { length: number; sha256?: string };
        up?: { length: number };
        images: number;
        failures: string[];
      };
      const result = await until(
        'the page is done',
        async () => {
          const now = await page.evaluate<Result>('window.result');
          return now.events.length === 10 &&
            now.messages.length === 50 &&
            now.down !== undefined &&
            now.up !== undefined &&
            now.images === 30
            ? now
            : undefined;
        },
        40_000,
      );
      expect(result.failures).toEqual([]);
      // RFC 8441: the WebSocket is a stream like others where those are.
      expect(ways).toEqual([scheme === 'http' ? '1.1 porthole' : '2 porthole']);
      expect(result.events).toEqual(Array.from({ length: 10 }, (_unused, i) => `event ${i}`));
      expect(result.messages).toEqual(Array.from({ length: 50 }, (_unused, i) => `message ${i}`));
      expect(result.up?.length).toBe(SIZE);
      expect(result.down?.length).toBe(SIZE);
      if (result.down?.sha256 !== undefined) expect(result.down.sha256).toBe(patternSha256(SIZE));
      expect(troubles).toEqual([]);
      await page.close();
    },
  );

  it("shows the relay's own page when there is no tunnel", async () => {
    const page = await chromium.browser.newPage();
    const answer = await page.goto(stage.relay.urlOf('nobody'));
    expect(answer?.status()).toBe(404);
    expect(await page.locator('body').innerText()).toContain('TUNNEL_NOT_FOUND');
    await page.close();
  });
});
