import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Resolver } from 'node:dns/promises';
import { decode, encode } from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { DnsListener, type DnsListenerOptions } from './dns-listener.ts';
import { DnsResponder } from './dns-responder.ts';

const zone = 'acme.tun.example';
const open: DnsListener[] = [];

async function start(
  options: Partial<DnsListenerOptions> = {},
  values: readonly string[] = ['first', 'second'],
): Promise<DnsListener> {
  const responder = new DnsResponder({ zone, nameServers: ['ns.tun.example'], txtValues: async () => values });
  const listener = new DnsListener({ responder, host: '127.0.0.1', port: 0, ...options });
  await listener.start();
  open.push(listener);
  return listener;
}

afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close();
});

const framed = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
const question = (name = `x.${zone}`): Buffer => encode({ type: 'query', id: 1, questions: [{ name, type: 'TXT' }] });

describe('DnsListener', () => {
  it('answers a resolver over UDP, and over TCP when the answer is large', async () => {
    for (const values of [['first', 'second'], Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(250, 'x'))]) {
      const listener = await start({}, values);
      const resolver = new Resolver({ timeout: 2000, tries: 1 });
      resolver.setServers([`127.0.0.1:${listener.port}`]);
      expect(await resolver.resolveTxt(`x.${zone}`)).toEqual(values.map((value) => [value]));
      await expect(resolver.resolve4('elsewhere.example')).rejects.toMatchObject({ code: 'EREFUSED' });
    }
  });

  it('answers several questions of one TCP socket, however they are cut', async () => {
    const { port } = await start();
    const socket = connect(port, '127.0.0.1');
    const bytes = Buffer.concat([framed(question()), framed(question(zone))]);
    for (const byte of bytes) socket.write(Buffer.from([byte]));
    socket.end();
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const all = Buffer.concat(chunks);
    const first = all.subarray(2, 2 + all.readUInt16BE(0));
    expect(decode(first).answers).toHaveLength(2);
    expect(decode(all.subarray(2 + first.length + 2)).questions[0]?.name).toBe(zone);
  });

  it('closes TCP sockets that send garbage, too much or nothing, and those over the limit', async () => {
    const { port } = await start({ maxTcpSockets: 2, tcpIdleMs: 50 });
    for (const bytes of [Buffer.from('ffff', 'hex'), framed(Buffer.alloc(5)), Buffer.alloc(0)]) {
      const socket = connect(port, '127.0.0.1');
      socket.resume();
      if (bytes.length > 0) socket.write(bytes);
      await once(socket, 'close');
    }
    const kept = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    for (const socket of kept) await once(socket.resume(), 'connect');
    const third = connect(port, '127.0.0.1').resume();
    third.on('error', () => undefined);
    await once(third, 'close');
  });

  it('limits a flood from one address, and says how much was dropped', async () => {
    const listener = await start({ rateLimit: { perSecond: 1, burst: 5 } });
    const socket = createSocket('udp4');
    const answers: Buffer[] = [];
    const enough = new Promise<void>((resolve) =>
      socket.on('message', (bytes) => {
        if (answers.push(bytes) === 15) resolve();
      }),
    );
    for (let i = 0; i < 25; i++) socket.send(question(), listener.port, '127.0.0.1');
    await enough;
    socket.close();
    expect(answers.filter((bytes) => decode(bytes).flag_tc).length).toBe(10);
    expect(listener.counts).toEqual({ answered: 5, truncated: 10, dropped: 10 });
  });

  it('says when the port is taken, and closes twice', async () => {
    const { port } = await start();
    const second = new DnsListener({
      responder: new DnsResponder({ zone, nameServers: [], txtValues: async () => [] }),
      host: '127.0.0.1',
      port,
    });
    await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await second.close();
    await second.close();
  });
});
