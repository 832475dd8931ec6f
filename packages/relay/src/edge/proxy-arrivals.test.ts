/** PROXY protocol headers before plain visitors: the HTTP door, the one that redirects, and ports. */
import { once } from 'node:events';
import { connect as connectH2 } from 'node:http2';
import * as net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DoorFixture, FakeRegistry, fixtureParts, RawVisitor } from '../../../../test/contracts/edge-fixture.ts';
import { FakeTarget } from '../../../../test/contracts/fake-target.ts';
import { freePortRange } from '../../../../test/harness/free-ports.ts';
import { type LogFields, SILENT_LOG } from '../observe/log.ts';
import { encodeProxyV1, encodeProxyV2 } from '../tls/proxy-protocol.ts';
import { ProxyArrivals } from './proxy-arrivals.ts';
import { RedirectDoor } from './redirect-door.ts';
import { TcpDoor } from './tcp-door.ts';
import { TrustedAddresses } from './trusted-addresses.ts';

const SOURCE = { address: '203.0.113.9', port: 4711 };
const DESTINATION = { address: '198.51.100.1', port: 80 };
const V1 = encodeProxyV1(SOURCE, DESTINATION);
const V2 = encodeProxyV2(SOURCE, DESTINATION);
const REQUEST = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

let faults: unknown[];
let counters: { badProxyHeadersTotal: number };

function arrivalsFrom(from: string, timeoutMs = 5_000): ProxyArrivals {
  const warn = (fields: LogFields): void => void faults.push(fields['fault']);
  const log = { ...SILENT_LOG, warn };
  return new ProxyArrivals({ from: new TrustedAddresses([from]), log, counters, timeoutMs });
}

beforeEach(() => {
  faults = [];
  counters = { badProxyHeadersTotal: 0 };
});

describe('the HTTP door behind a load balancer', () => {
  let fixture: DoorFixture;

  afterEach(() => fixture.close());

  const start = async (arrivals: ProxyArrivals): Promise<RawVisitor> => {
    fixture = await DoorFixture.start({ arrivals });
    return await fixture.dial();
  };

  it.each([
    ['version 1', [Buffer.concat([V1, Buffer.from(REQUEST)])]],
    ['version 2', [Buffer.concat([V2, Buffer.from(REQUEST)])]],
    ['pieces', [V2.subarray(0, 7), V2.subarray(7), Buffer.from(REQUEST.slice(0, 9)), Buffer.from(REQUEST.slice(9))]],
  ])('takes the header off and believes it: %s', async (_what, pieces) => {
    const visitor = await start(arrivalsFrom('127.0.0.1'));
    for (const piece of pieces) {
      visitor.socket.write(piece);
      await new Promise(setImmediate);
    }
    for (let round = 0; round < 2; round += 1) {
      if (round > 0) visitor.send(REQUEST);
      const stream = await fixture.target.next();
      expect(stream.request?.visitorAddress).toBe(SOURCE.address);
      expect(stream.request?.fields).toContain(SOURCE.address);
      stream.head(204).finish();
      await visitor.untilText('204');
      visitor.take();
    }
  });

  it('lets HTTP/2 begin behind it', async () => {
    const { socket } = await start(arrivalsFrom('127.0.0.1'));
    socket.removeAllListeners('data').write(V1);
    const session = connectH2('http://a.test', { createConnection: () => socket });
    const request = session.request({ ':path': '/' });
    const stream = await fixture.target.next();
    expect(stream.request?.visitorAddress).toBe(SOURCE.address);
    stream.head(204).finish();
    await once(request, 'response');
    session.destroy();
  });

  it('shuts out who has none where one must be, and leaves everybody else alone', async () => {
    const bare = await start(arrivalsFrom('127.0.0.1'));
    bare.send(REQUEST);
    await bare.untilEnd();
    expect([faults, counters.badProxyHeadersTotal]).toEqual([['not_proxy'], 1]);
    await fixture.close();
    const other = await start(arrivalsFrom('10.0.0.0/8'));
    other.send(REQUEST);
    const stream = await fixture.target.next();
    expect(stream.request?.visitorAddress).toBe('127.0.0.1');
    stream.head(204).finish();
    await other.untilText('204');
  });

  it('does not wait for ever', async () => {
    const silent = await start(arrivalsFrom('127.0.0.1', 20));
    silent.socket.write(V2.subarray(0, 3));
    await silent.untilEnd();
  });
});

it('a port takes it off and names the visitor to the target', async () => {
  const registry = new FakeRegistry();
  const target = new FakeTarget();
  const door = new TcpDoor('127.0.0.1', { ...fixtureParts({}, registry), arrivals: arrivalsFrom('127.0.0.1') });
  const { first: port } = await freePortRange(1);
  registry.ports.set(port, { state: 'ready', target });
  await door.open(port);
  const visitor = await RawVisitor.dial(port);
  visitor.socket.write(Buffer.concat([V2, Buffer.from('hello')]));
  const stream = await target.next();
  await stream.untilBody('hello');
  expect(stream.opening).toEqual({
    visitorAddress: SOURCE.address,
    visitorPort: SOURCE.port,
    localAddress: DESTINATION.address,
    localPort: DESTINATION.port,
  });
  visitor.socket.destroy();
  await door.drain(0);
});

it('the door that redirects takes it off', async () => {
  const door = new RedirectDoor({
    challengeAnswer: () => Promise.resolve(undefined),
    secureUrlOf: (host) => `https://${host}`,
    arrivals: arrivalsFrom('127.0.0.1'),
    maxVisitors: 10,
    reportBug: (error) => expect.unreachable(String(error)),
    acceptFailed: (error) => expect.unreachable(String(error)),
  });
  const { port } = await door.start({ host: '127.0.0.1', port: 0 });
  const socket = net.connect(port, '127.0.0.1');
  const visitor = new RawVisitor(socket);
  socket.write(V1);
  visitor.send('GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
  expect(await visitor.untilText('a.test/x')).toMatch(/^HTTP\/1.1 308 [^]*location: https:\/\/a\.test\/x/i);
  await door.close();
});
