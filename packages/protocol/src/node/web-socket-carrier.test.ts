import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type CarrierReceiver, WebSocketCarrier, type WebSocketLike } from '../node.ts';

/** Like `ws`: a pause stops reading, not the messages of the read under way. */
class FakeWebSocket extends EventEmitter implements WebSocketLike {
  readonly bufferedAmount = 0;
  reading = true;
  send(_data: Buffer, callback: () => void): void {
    callback();
  }
  pause(): void {
    this.reading = false;
  }
  resume(): void {
    this.reading = true;
  }
  close(): void {
    this.emit('close');
  }
  terminate(): void {
    this.emit('close');
  }
}

function into(list: string[], onBytes?: (text: string) => void): CarrierReceiver {
  return {
    onBytes: (chunk) => {
      list.push(chunk.toString());
      onBytes?.(chunk.toString());
      return chunk.length;
    },
    onDrain: () => {},
    onClosed: () => {},
  };
}

describe('WebSocketCarrier', () => {
  it('loses nothing of a read whose first message ends the handshake', () => {
    const webSocket = new FakeWebSocket();
    const carrier = new WebSocketCarrier(webSocket, undefined);
    const greeting: string[] = [];
    const session: string[] = [];
    carrier.receiver = into(greeting, () => {
      carrier.receiver = undefined;
      carrier.pause();
    });
    for (const text of ['welcome', 'one', 'two']) webSocket.emit('message', Buffer.from(text), true);
    expect(greeting).toEqual(['welcome']);
    carrier.receiver = into(session);
    expect(session).toEqual([]);
    carrier.resume();
    expect(session).toEqual(['one', 'two']);
    expect(webSocket.reading).toBe(true);
    webSocket.emit('message', Buffer.from('three'), true);
    expect(session).toEqual(['one', 'two', 'three']);
  });

  it('keeps the order when the receiver pauses again in between', () => {
    const webSocket = new FakeWebSocket();
    const carrier = new WebSocketCarrier(webSocket, undefined);
    const got: string[] = [];
    carrier.receiver = into(got, () => carrier.pause());
    for (const text of ['1', '2', '3']) webSocket.emit('message', Buffer.from(text), true);
    expect(got).toEqual(['1']);
    carrier.resume();
    expect(got).toEqual(['1', '2']);
    expect(webSocket.reading).toBe(false);
    webSocket.emit('message', Buffer.from('4'), true);
    carrier.resume();
    carrier.resume();
    expect(got).toEqual(['1', '2', '3', '4']);
  });
});
