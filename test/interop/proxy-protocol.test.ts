/** PROXY protocol against haproxy as a real process: it reads what we write and we read what it writes. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  encodeProxyV1,
  encodeProxyV2,
  type ProxyHeader,
  ProxyHeaderReader,
} from '../../packages/relay/src/tls/proxy-protocol.ts';
import { installed, missing } from '../harness/debian.ts';
import { Listener } from '../harness/listener.ts';
import { Program } from '../harness/program.ts';
import { until } from '../harness/until.ts';

const source = { address: '203.0.113.7', port: 40_000 };
const destination = { address: '198.51.100.9', port: 443 };
const source6 = { address: '2001:db8::7', port: 40_000 };
const destination6 = { address: '2001:db8::9', port: 443 };

describe.skipIf(missing('haproxy'))('PROXY protocol with haproxy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'porthole-haproxy-'));
  const arrivals: ((header: ProxyHeader) => void)[] = [];
  let origin: Listener;
  let haproxy: Program;

  beforeAll(async () => {
    origin = new Listener(
      createServer((socket) => {
        const reader = new ProxyHeaderReader();
        socket.on('data', (chunk) => {
          const result = reader.push(chunk);
          if (result.state === 'done') {
            arrivals.shift()?.(result.header);
            socket.end(reader.bytes().subarray(result.length));
          } else if (result.state === 'fault') socket.destroy(new Error(result.fault));
        });
      }),
    );
    const { port } = await origin.listen();
    // Sockets in the file system, not ports: haproxy cannot tell which port it was given.
    const door = (name: string, server: string): string =>
      `listen ${name}\n bind unix@${folder}/${name}.sock accept-proxy\n unique-id-format id-%ci\n server s 127.0.0.1:${port} ${server}\n`;
    writeFileSync(
      join(folder, 'haproxy.cfg'),
      `defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n${door('v1', 'send-proxy')}${door('v2', 'send-proxy-v2')}${door('full', 'send-proxy-v2 proxy-v2-options crc32c,unique-id')}`,
    );
    haproxy = new Program({
      name: 'haproxy',
      command: installed('haproxy') ?? '',
      args: ['-db', '-f', join(folder, 'haproxy.cfg')],
    });
    (await until('haproxy answers', () => connected('full'))).destroy();
  });

  afterAll(async () => {
    await haproxy.close();
    await origin.close();
    rmSync(folder, { recursive: true });
  });

  async function connected(name: string): Promise<Socket> {
    const socket = connect(join(folder, `${name}.sock`));
    await once(socket, 'connect');
    return socket;
  }

  async function through(name: string, header: Buffer): Promise<{ header: ProxyHeader; echo: string }> {
    const arrived = new Promise<ProxyHeader>((resolve) => arrivals.push(resolve));
    const socket = await connected(name);
    socket.write(Buffer.concat([header, Buffer.from('hello')]));
    const echo: Buffer[] = [];
    for await (const chunk of socket) echo.push(chunk as Buffer);
    return { header: await arrived, echo: Buffer.concat(echo).toString() };
  }

  const writers: [string, Buffer][] = [
    ['our v1', encodeProxyV1(source, destination)],
    ['our v2', encodeProxyV2(source, destination)],
    [
      'our v2 with a checksum and TLVs',
      encodeProxyV2(source, destination, {
        checksum: true,
        tlvs: { alpn: 'h2', authority: 'a.example', uniqueId: Buffer.from('x') },
      }),
    ],
  ];
  for (const [what, bytes] of writers) {
    it(`passes the addresses of ${what} on as v1, v2 and v2 with a checksum`, async () => {
      expect(await through('v1', bytes)).toEqual({
        echo: 'hello',
        header: { version: 1, local: false, source, destination, tlvs: {} },
      });
      expect(await through('v2', bytes)).toMatchObject({
        echo: 'hello',
        header: { version: 2, local: false, source, destination },
      });
      const full = await through('full', bytes);
      expect(full).toMatchObject({ echo: 'hello', header: { version: 2, local: false, source, destination } });
      expect(full.header.tlvs.uniqueId?.toString()).toBe(`id-${source.address}`);
    });
  }

  it('passes IPv6 addresses on', async () => {
    for (const bytes of [encodeProxyV1(source6, destination6), encodeProxyV2(source6, destination6)]) {
      for (const name of ['v1', 'v2']) {
        expect(await through(name, bytes)).toMatchObject({ header: { source: source6, destination: destination6 } });
      }
    }
  });
});
