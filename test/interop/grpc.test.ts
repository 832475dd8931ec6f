/** gRPC end to end with the library people use, at both ends: four kinds of calls, statuses, deadlines, cancelling, many at once. */
import { once } from 'node:events';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ECHO, type GrpcOrigin, grpcChannel, startGrpcOrigin, unary } from '../harness/grpc.ts';
import { startOrigin } from '../harness/origin.ts';
import { type Stage, startStage } from '../harness/stage.ts';

let origin: GrpcOrigin;
let stage: Stage;
let channel: grpc.Client;

beforeAll(async () => {
  origin = await startGrpcOrigin();
  stage = await startStage(`grpc://${origin.port}`);
  channel = grpcChannel(stage.port, stage.host);
});
afterAll(async () => {
  channel.close();
  await stage.close();
  await origin.close();
});

const { collect, repeat, chat } = ECHO;
const say = Buffer.from;

describe('the four kinds of calls', () => {
  it('unary, with metadata both ways, binary ones too, and the authority the caller used', async () => {
    const metadata = new grpc.Metadata();
    metadata.add('x-own', 'one');
    metadata.add('x-own', 'two');
    const result = await unary(channel, say('hello'), metadata);
    expect(result.error).toBeNull();
    expect(String(result.message)).toBe('hello');
    expect(result.metadata?.get('echo-bin')).toEqual([Buffer.from([0, 1, 254, 255])]);
    expect(result.metadata?.get('x-own').join(', ')).toBe('one, two');
    expect(result.metadata?.get('authority')).toEqual([stage.host]);
    expect(result.status.metadata.get('late-bin')).toEqual([say('late')]);
  });

  it('client streaming', async () => {
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      const call = channel.makeClientStreamRequest(
        collect.path,
        collect.requestSerialize,
        collect.responseDeserialize,
        (error, value) => (error === null ? resolve(value) : reject(error)),
      );
      for (const part of ['a', 'b', 'c']) call.write(say(part));
      call.end();
    });
    expect(String(answer)).toBe('abc');
  });

  it('client streaming that the service ends early', async () => {
    const error = await new Promise<grpc.ServiceError | null>((resolve) => {
      const call = channel.makeClientStreamRequest(
        collect.path,
        collect.requestSerialize,
        collect.responseDeserialize,
        resolve,
      );
      call.on('error', () => undefined);
      call.write(say('enough'));
    });
    expect(error?.code).toBe(grpc.status.OUT_OF_RANGE);
  });

  it('server streaming', async () => {
    const metadata = new grpc.Metadata();
    metadata.set('times', '200');
    const call = channel.makeServerStreamRequest(
      repeat.path,
      repeat.requestSerialize,
      repeat.responseDeserialize,
      say('x'.repeat(1000)),
      metadata,
    );
    let bytes = 0;
    call.on('data', (part: Buffer) => (bytes += part.length));
    const [status] = await once(call, 'status');
    expect(status.code).toBe(grpc.status.OK);
    expect(bytes).toBe(200_000);
  });

  it('both, in turns: nothing waits for the end of anything', async () => {
    const call = channel.makeBidiStreamRequest(chat.path, chat.requestSerialize, chat.responseDeserialize);
    for (let i = 0; i < 20; i++) {
      call.write(say(`message ${i}`));
      const [answer] = await once(call, 'data');
      expect(String(answer)).toBe(`message ${i}`);
    }
    call.end();
    const [status] = await once(call, 'status');
    expect(status.code).toBe(grpc.status.OK);
  });
});

describe('how calls end', () => {
  it('a status of the service with details and trailers', async () => {
    const metadata = new grpc.Metadata();
    metadata.set('fail', String(grpc.status.ALREADY_EXISTS));
    const { error, status } = await unary(channel, say('x'), metadata);
    expect(error?.code).toBe(grpc.status.ALREADY_EXISTS);
    expect(error?.details).toBe('as asked: ünï');
    expect(status.metadata.get('late-bin')).toEqual([say('late')]);
  });

  it('a method that does not exist', async () => {
    const error = await new Promise<grpc.ServiceError | null>((resolve) =>
      channel.makeUnaryRequest('/porthole.test.Echo/Nothing', say, say, say('x'), (failed) => resolve(failed)),
    );
    expect(error?.code).toBe(grpc.status.UNIMPLEMENTED);
  });

  it('the caller cancels: the service hears of it', async () => {
    const before = origin.cancelled.length;
    const opened = origin.open();
    const metadata = new grpc.Metadata();
    metadata.set('hold', '1');
    const result = unary(channel, say('x'), metadata);
    while (origin.open() === opened) await new Promise((resolve) => setImmediate(resolve));
    result.call.cancel();
    expect((await result).error?.code).toBe(grpc.status.CANCELLED);
    await origin.untilCancelled(before + 1);
  });

  it('a deadline passes: the caller is told in time and the service hears of it', async () => {
    const before = origin.cancelled.length;
    const metadata = new grpc.Metadata();
    metadata.set('hold', '1');
    const { error } = await unary(channel, say('x'), metadata, { deadline: Date.now() + 300 });
    expect(error?.code).toBe(grpc.status.DEADLINE_EXCEEDED);
    await origin.untilCancelled(before + 1);
  });

  it('in the middle of a stream, with the status of the service', async () => {
    const call = channel.makeBidiStreamRequest(chat.path, chat.requestSerialize, chat.responseDeserialize);
    call.on('error', () => undefined);
    call.write(say('one'));
    await once(call, 'data');
    const status = new Promise<grpc.StatusObject>((resolve) => call.once('status', resolve));
    call.write(say('die'));
    expect((await status).code).toBe(grpc.status.ABORTED);
  });

  it('no such tunnel: a status, not a web page', async () => {
    const other = grpcChannel(stage.port, stage.relay.hostOf('nobody-here'));
    const { error, status } = await unary(other, say('x'));
    expect(error?.code).toBe(grpc.status.UNIMPLEMENTED);
    expect(status.metadata.get('porthole-error')).toEqual(['TUNNEL_NOT_FOUND']);
    other.close();
  });
});

describe('size and number', () => {
  it('messages of 4 MB both ways', async () => {
    const big = Buffer.alloc(4 * 1024 * 1024, 'gRPC');
    const { message } = await unary(channel, big);
    expect(message?.equals(big)).toBe(true);
  });

  it('1,000 streams at once', async () => {
    const channels = Array.from({ length: 4 }, () => grpcChannel(stage.port, stage.host));
    const calls = Array.from({ length: 1_000 }, (_, i) =>
      (channels[i % 4] as grpc.Client).makeBidiStreamRequest(
        chat.path,
        chat.requestSerialize,
        chat.responseDeserialize,
      ),
    );
    // All are open before the first one ends.
    const heard = await Promise.all(
      calls.map(async (call, i) => {
        call.write(say(`first ${i}`));
        const [answer] = await once(call, 'data');
        return String(answer);
      }),
    );
    expect(heard).toEqual(calls.map((_, i) => `first ${i}`));
    const statuses = await Promise.all(
      calls.map(async (call) => {
        call.end();
        call.resume();
        const [status] = await once(call, 'status');
        return status.code as number;
      }),
    );
    expect(new Set(statuses)).toEqual(new Set([grpc.status.OK]));
    for (const each of channels) each.close();
  });
});

describe('finding out', () => {
  it('an origin given by its port alone is spoken to in HTTP/2 for gRPC', async () => {
    await using found = await startStage(origin.port);
    const other = grpcChannel(found.port, found.host);
    const { message } = await unary(other, say('found'));
    expect(String(message)).toBe('found');
    other.close();
  });

  it('one that speaks HTTP/1.1 only is asked in that, and its answer means what it means', async () => {
    const plain = await startOrigin();
    await using found = await startStage(plain.port);
    const other = grpcChannel(found.port, found.host);
    const { error } = await unary(other, say('lost'));
    expect(error).not.toBeNull();
    expect(plain.seen).toEqual(['POST /porthole.test.Echo/Unary']);
    expect(
      await (await fetch(`http://127.0.0.1:${found.port}/x`, { headers: { host: found.host } })).text(),
    ).toBeDefined();
    other.close();
    await plain.close();
  });
});
