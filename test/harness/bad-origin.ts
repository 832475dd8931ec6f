/** Origins as they fail in life: they refuse, stall, die in the middle, answer and close at once, or speak nonsense. */
import { freePortRange } from './free-ports.ts';
import { type Answer, type RawOrigin, plainAnswer, startRawOrigin } from './raw-origin.ts';

/** A port on which nobody listens. `startRawOrigin` can open somebody there. */
export async function refusingPort(): Promise<number> {
  return (await freePortRange(1)).first;
}

/** Accepts and reads the request, and never says a word. */
export const stalls: Answer = () => new Promise(() => undefined);

/** Announces `announced` bytes, sends `sent` of them and dies (`close`: FIN, `reset`: RST). */
export function diesInBody(announced: number, sent: number, manner: 'close' | 'reset' = 'close'): Answer {
  return async ({ wire }) => {
    await wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${announced}\r\n\r\n${'x'.repeat(sent)}`);
    if (manner === 'reset') wire.reset();
    else await wire.close();
  };
}

/** As `diesInBody`, with a chunked body that lacks its last chunk. */
export function diesInChunks(chunks: readonly string[], manner: 'close' | 'reset' = 'close'): Answer {
  return async ({ wire }) => {
    await wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (const chunk of chunks) await wire.send(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    if (manner === 'reset') wire.reset();
    else await wire.close();
  };
}

/** Reads the head and closes without an answer. */
export const closesAtOnce: Answer = async ({ wire }) => {
  await wire.close();
};

/** Answers completely and closes in the same breath. */
export function answersAndCloses(body: string): Answer {
  return ({ wire }) => {
    wire.socket.end(plainAnswer(body, 'Connection: close\r\n'), 'latin1');
  };
}

/** Sends exactly these bytes for every request, then (unless told otherwise) closes. */
export function speaks(bytes: string | Buffer, options: { readonly keepOpen?: boolean } = {}): Answer {
  return async ({ wire }) => {
    await wire.send(bytes);
    if (options.keepOpen !== true) wire.end();
  };
}

export function startBadOrigin(answer: Answer): Promise<RawOrigin> {
  return startRawOrigin(answer);
}
