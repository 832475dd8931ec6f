/** The visitors of a benchmark: wrk for requests, raw sockets for bulk, so that the load costs little beside what is measured. */
import { connect, type Socket } from 'node:net';
import { runToEnd } from './processes.ts';

/** Where a visitor goes: a port on this machine and what to put into `Host`. */
export interface Place {
  readonly port: number;
  readonly host: string;
  /** Over TLS. Default false. */
  readonly isSecure?: boolean;
}

export interface WrkOutcome {
  readonly requestsPerSecond: number;
  readonly p99Ms: number;
}

/** `script`: a file in Lua that makes the requests, instead of `path`. */
export async function wrk(
  place: Place,
  path: string,
  connections: number,
  seconds: number,
  script?: string,
): Promise<WrkOutcome> {
  const args = [
    ...(script === undefined ? [] : ['-s', script]),
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    '-H',
    `Host: ${place.host}`,
    `http${place.isSecure === true ? 's' : ''}://127.0.0.1:${place.port}${path}`,
  ];
  const text = await runToEnd('wrk', args);
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? Number.NaN);
  const bad = /Non-2xx or 3xx responses: (\d+)|Socket errors: .*(?:connect|read|write) [1-9]/.exec(text);
  if (Number.isNaN(rate) || bad !== null)
    throw new Error(`wrk against ${place.host}:${place.port}${path} met errors:\n${text}`);
  return { requestsPerSecond: rate, p99Ms: milliseconds(/\b99%\s+([\d.]+)(us|ms|s)/.exec(text)) };
}

function milliseconds(match: RegExpExecArray | null): number {
  if (match === null) return Number.NaN;
  const factor = match[2] === 'us' ? 0.001 : match[2] === 'ms' ? 1 : 1000;
  return Number(match[1]) * factor;
}

/** Downloads `path` and throws the bytes away; bytes per second of the body. */
export function download(place: Place, path: string, expectedBytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    let head = '';
    let seen = 0;
    const take = (length: number, buffer: Buffer): void => {
      if (seen === 0 && !head.includes('\r\n\r\n')) {
        head += buffer.toString('latin1', 0, length);
        const end = head.indexOf('\r\n\r\n');
        if (end === -1) return;
        if (!/^HTTP\/1\.[01] 200/.test(head)) return fail(new Error(`${place.host}${path}: ${head.slice(0, 200)}`));
        seen = head.length - end - 4;
      } else seen += length;
      if (seen < expectedBytes) return;
      socket.destroy();
      resolve(seen / ((performance.now() - startedAt) / 1000));
    };
    const socket = connect({
      port: place.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(262_144),
        callback: (length: number, buffer: Uint8Array) => {
          take(length, buffer as Buffer);
          return true;
        },
      },
    });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.on('error', fail);
    socket.on('end', () => fail(new Error(`${place.host}${path}: ended after ${seen} of ${expectedBytes} bytes`)));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${place.host}\r\n\r\n`);
  });
}

const UPLOAD_CHUNK = Buffer.alloc(262_144);

/** Uploads `bytes` zero bytes; bytes per second until the answer is there. */
export function upload(place: Place, path: string, bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const socket = connect({ port: place.port, host: '127.0.0.1', noDelay: true });
    let left = bytes;
    const pour = (): void => {
      while (left > 0) {
        const chunk = left >= UPLOAD_CHUNK.length ? UPLOAD_CHUNK : UPLOAD_CHUNK.subarray(0, left);
        left -= chunk.length;
        if (!socket.write(chunk)) return;
      }
    };
    socket.on('drain', pour);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${place.host}${path}: closed before the answer`)));
    socket.on('data', (answer: Buffer) => {
      const text = answer.toString('latin1');
      if (left > 0 || !/^HTTP\/1\.[01] 200/.test(text))
        reject(new Error(`${place.host}${path}: ${text.slice(0, 200)}`));
      else resolve(bytes / ((performance.now() - startedAt) / 1000));
      socket.destroy();
    });
    socket.write(`PUT ${path} HTTP/1.1\r\nHost: ${place.host}\r\nContent-Length: ${bytes}\r\n\r\n`);
    pour();
  });
}

/** A visitor who reads at `bytesPerSecond` (0: not at all) until `stop`. */
export function slowReader(place: Place, path: string, bytesPerSecond: number): { stop(): void; bytes(): number } {
  const socket: Socket = connect({ port: place.port, host: '127.0.0.1', noDelay: true });
  let bytes = 0;
  socket.on('error', () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${place.host}\r\n\r\n`);
  socket.pause();
  const timer = setInterval(() => {
    let allowed = bytesPerSecond / 10;
    for (;;) {
      const chunk = socket.read(Math.min(allowed, socket.readableLength)) as Buffer | null;
      if (chunk === null || chunk.length === 0) break;
      bytes += chunk.length;
      allowed -= chunk.length;
      if (allowed <= 0) break;
    }
    if (bytesPerSecond > 0) socket.read(0);
  }, 100);
  return {
    bytes: () => bytes,
    stop: () => {
      clearInterval(timer);
      socket.destroy();
    },
  };
}

/** Small requests one after the other on one kept connection, `gapMs` apart: how long each took, milliseconds. */
export function probe(place: Place, path: string, seconds: number, gapMs: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const times: number[] = [];
    const socket = connect({ port: place.port, host: '127.0.0.1', noDelay: true });
    const request = `GET ${path} HTTP/1.1\r\nHost: ${place.host}\r\n\r\n`;
    const endsAt = performance.now() + seconds * 1000;
    let sentAt = 0;
    let text = '';
    const send = (): void => {
      sentAt = performance.now();
      text = '';
      socket.write(request);
    };
    socket.on('connect', send);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${place.host}${path}: the connection was closed between requests`)));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      const length = Number(/content-length: *(\d+)/i.exec(text)?.[1] ?? 0);
      if (end === -1 || text.length < end + 4 + length) return;
      times.push(performance.now() - sentAt);
      if (performance.now() < endsAt) setTimeout(send, gapMs);
      else {
        socket.removeAllListeners('close');
        socket.destroy();
        resolve(times);
      }
    });
  });
}
