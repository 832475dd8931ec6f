/** Visitors over TLS. All of them are programs in C, since TLS in the load would cost as much as what is measured. */
import type { Place } from './load.ts';
import { runToEnd } from './processes.ts';

/** Downloads `path` with curl and throws the bytes away; bytes per second of the body. */
export async function secureDownload(place: Place, path: string, expectedBytes: number): Promise<number> {
  const { url, connectTo } = addressOf(place, path);
  const form = '%{http_code} %{size_download} %{speed_download}';
  const args = ['-sS', '-k', '--http1.1', '--connect-to', `::${connectTo}`, '-o', '/dev/null', '-w', form, url];
  const said = await runToEnd('curl', args);
  const [status, bytes, speed] = said.split(' ').map(Number);
  if (status !== 200 || bytes !== expectedBytes || speed === undefined) throw new Error(`curl ${url}: ${said}`);
  return speed;
}

/** Requests per second in HTTP/2. */
export async function h2load(
  place: Place,
  path: string,
  connections: number,
  streams: number,
  seconds: number,
): Promise<number> {
  const { url, connectTo } = addressOf(place, path);
  const args = ['-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, `--connect-to=${connectTo}`, url];
  const text = await runToEnd('h2load', args);
  const rate = Number(/finished in [\d.]+s, ([\d.]+) req\/s/.exec(text)?.[1] ?? Number.NaN);
  const bad = /requests: .* (?:[1-9]\d* failed|[1-9]\d* errored|[1-9]\d* timeout)|, [1-9]\d* [345]xx/.exec(text);
  if (Number.isNaN(rate) || bad !== null) throw new Error(`h2load ${url} met errors:\n${text}`);
  return rate;
}

const LOADS = 2;

/** Full handshakes per second, one connection after the other in each of two processes. */
export async function newHandshakes(place: Place, seconds: number): Promise<number> {
  const args = ['s_time', '-connect', `127.0.0.1:${place.port}`, '-new', '-time', String(seconds)];
  const rates = Array.from({ length: LOADS }, async () => {
    const text = await runToEnd('openssl', args);
    const match = /(\d+) connections in (\d+) real seconds/.exec(text);
    if (match === null || Number(match[1]) === 0) throw new Error(`openssl s_time made no connection:\n${text}`);
    return Number(match[1]) / seconds;
  });
  return (await Promise.all(rates)).reduce((total, rate) => total + rate, 0);
}

function addressOf({ host, port }: Place, path: string): { url: string; connectTo: string } {
  return { url: `https://${host}:${port}${path}`, connectTo: `127.0.0.1:${port}` };
}
