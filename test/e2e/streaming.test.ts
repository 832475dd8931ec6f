/**
 * Nothing is held back: every piece is seen before the next one is made. Orders, not clocks: an end that buffered would
 * never let these tests go on.
 */
import { describe, expect, it } from 'vitest';
import { type SeenRequest } from '../harness/raw-origin.ts';
import { connectVisitor, readAnswerHead } from '../harness/raw-visitor.ts';
import { scriptedScene } from '../harness/scene.ts';

const scene = scriptedScene();

const TYPES = [
  'text/event-stream',
  'text/event-stream; charset=utf-8',
  'text/html',
  'application/octet-stream',
  'application/x-ndjson',
  'application/json',
  undefined,
];

/** Hands the origin's side of the next exchange to the test, and keeps the socket until the test is done with it. */
function handOver(): { request: Promise<SeenRequest>; done: () => void } {
  const request = Promise.withResolvers<SeenRequest>();
  const done = Promise.withResolvers<void>();
  scene.script = async (seen) => {
    request.resolve(seen);
    await done.promise;
  };
  return { request: request.promise, done: done.resolve };
}

describe('streaming', () => {
  for (const method of ['GET', 'POST']) {
    it.each(TYPES)(`${method}: the head, then every chunk of %s is seen before the next is written`, async (type) => {
      const handed = handOver();
      await using visitor = await connectVisitor(scene.stage.url);
      const length = method === 'POST' ? 'Content-Length: 0\r\n' : '';
      await visitor.send(`${method} / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n${length}\r\n`);
      const { wire } = await handed.request;
      await wire.send(
        `HTTP/1.1 200 OK\r\n${type === undefined ? '' : `Content-Type: ${type}\r\n`}Transfer-Encoding: chunked\r\n\r\n`,
      );
      expect((await readAnswerHead(visitor)).status).toBe(200);
      for (let i = 0; i < 5; i++) {
        await wire.send(`8\r\ndata: ${i}\n\r\n`);
        await visitor.readUntil(`data: ${i}\n`);
      }
      await wire.send('0\r\n\r\n');
      await visitor.readUntil('0\r\n\r\n');
      handed.done();
    });
  }

  it('passes single bytes of an answer with a length, and of a close-delimited one', async () => {
    for (const framing of ['Content-Length: 3\r\n', '']) {
      const handed = handOver();
      await using visitor = await connectVisitor(scene.stage.url);
      await visitor.send(`GET / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n\r\n`);
      const { wire } = await handed.request;
      await wire.send(`HTTP/1.1 200 OK\r\n${framing}\r\n`);
      await readAnswerHead(visitor);
      for (const byte of ['x', 'y', 'z']) {
        await wire.send(byte);
        await visitor.readUntil(byte);
      }
      if (framing === '') wire.end();
      handed.done();
    }
  });

  it('passes every piece of an upload before the next is sent', async () => {
    const handed = handOver();
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const { wire } = await handed.request;
    for (const piece of ['first', 'second', 'third']) {
      await visitor.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
      await wire.readUntil(piece);
    }
    await visitor.send('0\r\n\r\n');
    await wire.readUntil('0\r\n\r\n');
    await wire.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    await readAnswerHead(visitor);
    handed.done();
  });

  it('talks both ways in one exchange', async () => {
    const handed = handOver();
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const { wire } = await handed.request;
    await wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let i = 0; i < 10; i++) {
      await visitor.send(`6\r\nask ${i}.\r\n`);
      await wire.readUntil(`ask ${i}.`);
      await wire.send(`8\r\nanswer ${i}\r\n`);
      await visitor.readUntil(`answer ${i}`);
    }
    await visitor.send('0\r\n\r\n');
    await wire.readUntil('0\r\n\r\n');
    await wire.send('0\r\n\r\n');
    await visitor.readUntil('0\r\n\r\n');
    handed.done();
  });

  it('keeps 50 event streams open at once, each getting its own events', async () => {
    const waiting: SeenRequest[] = [];
    const over = Promise.withResolvers<void>();
    const all = Promise.withResolvers<void>();
    scene.script = async (request) => {
      await request.wire.send(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
      );
      if (waiting.push(request) === 50) all.resolve();
      await over.promise;
    };
    const visitors = await Promise.all(Array.from({ length: 50 }, () => connectVisitor(scene.stage.url)));
    for (const [i, visitor] of visitors.entries())
      await visitor.send(`GET /${i} HTTP/1.1\r\nHost: ${scene.stage.host}\r\n\r\n`);
    await all.promise;
    for (const request of waiting) {
      const text = `data: for ${request.line.split(' ')[1]}\n\n`;
      await request.wire.send(`${text.length.toString(16)}\r\n${text}\r\n`);
    }
    for (const [i, visitor] of visitors.entries()) await visitor.readUntil(`data: for /${i}\n\n`);
    over.resolve();
    for (const visitor of visitors) await visitor.close();
  });
});
