/** The whole way, once: a tunnel of our own, asked through its public address, must answer with our own words. */
import { randomUUID } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { Agent as PlainAgent, request as requestPlain } from 'node:http';
import { Agent as TlsAgent, request as requestTls } from 'node:https';
import { getCACertificates } from 'node:tls';
import {
  encodeResponse,
  PortholeError,
  type ExchangeRequest,
  type Origin,
  type Stream,
  type StreamSink,
} from '@porthole/agent';
import { proxyFor } from './network-checks.ts';
import { StepProblem } from './problems.ts';
import { deafBody } from '../origins/deaf-body.ts';
import type { RelayChoice } from '../settings/relay-choice.ts';
import type { World } from '../world.ts';

const LIMIT_MS = 20_000;

export async function canary(choice: RelayChoice, world: World): Promise<string> {
  const word = randomUUID();
  const claimed = Promise.withResolvers<string>();
  const link = world.openLink(choice, {
    onConnected: () => {},
    onInterrupted: claimed.reject,
    onFinished: claimed.reject,
  });
  const signal = AbortSignal.timeout(LIMIT_MS);
  signal.addEventListener('abort', () => claimed.reject(new PortholeError('RELAY_UNREACHABLE', 'no tunnel in 20 s')));
  try {
    link.openTunnel({ protocol: 'http' }, new CanaryOrigin(word), {
      onClaimed: ({ url }) => claimed.resolve(url),
      onRefused: (code, detail) => claimed.reject(new PortholeError(code, detail)),
    });
    link.start();
    const url = await claimed.promise;
    return await ask(url, word, choice, world.env, signal);
  } finally {
    await link.close(0);
  }
}

async function ask(
  url: string,
  word: string,
  choice: RelayChoice,
  env: World['env'],
  signal: AbortSignal,
): Promise<string> {
  const parsed = new URL(url);
  // Behind a proxy the name may resolve for the proxy only; like a browser here, the canary leaves that to it.
  const { host: relayHost, local } =
    proxyFor(parsed, env) === undefined
      ? await dialHost(parsed.hostname, choice.relay)
      : { host: parsed.hostname, local: true };
  const started = performance.now();
  const answer = await get(parsed, relayHost, choice.ca, env, signal);
  if (answer.text !== word)
    throw new StepProblem('CANARY_LOST', `${url} answered ${answer.status} and not what was sent through it`);
  const text = `${url} answered in ${Math.round(performance.now() - started)} ms`;
  if (!local) throw new StepProblem('WILDCARD_MISSING', `${text}, but its name does not resolve here`);
  return text;
}

/** A public name that does not resolve here is asked for at the relay's own address, so that both faults are told apart. */
async function dialHost(host: string, relay: string): Promise<{ host: string; local: boolean }> {
  const relayHost = new URL(relay).hostname.replace(/^\[|\]$/g, '');
  const fallback = relayHost.endsWith('.localhost') ? 'localhost' : relayHost;
  if (host.endsWith('.localhost')) return { host: fallback, local: true };
  try {
    await lookup(host);
    return { host, local: true };
  } catch {
    return { host: fallback, local: false };
  }
}

function get(
  url: URL,
  host: string,
  ca: string | undefined,
  env: World['env'],
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const agent = new (url.protocol === 'https:' ? TlsAgent : PlainAgent)({ proxyEnv: { ...env }, keepAlive: false });
  const options = {
    host,
    port: url.port === '' ? undefined : url.port,
    path: '/',
    headers: { Host: url.host },
    signal,
    agent,
  } as const;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(new StepProblem('CANARY_UNREACHABLE', `${url.origin}: ${error.message}`, { cause: error }));
    const request =
      url.protocol === 'https:'
        ? requestTls({
            ...options,
            servername: url.hostname,
            ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
          })
        : requestPlain(options);
    request.on('error', fail);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text = (text + chunk).slice(0, 4096);
      });
      response.on('error', fail);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.end();
  });
}

class CanaryOrigin implements Origin {
  readonly #word: Buffer;

  constructor(word: string) {
    this.#word = Buffer.from(word);
  }

  openExchange(_request: ExchangeRequest, stream: Stream): StreamSink {
    const fields = [
      'Content-Type',
      'text/plain',
      'Content-Length',
      String(this.#word.length),
      'Cache-Control',
      'no-store',
    ];
    stream.sendHead(encodeResponse({ status: 200, reason: 'OK', fields }));
    stream.write(Buffer.from(this.#word));
    stream.end();
    return deafBody(stream);
  }

  openRaw(_opening: unknown, stream: Stream): StreamSink {
    stream.reset('NOT_SUPPORTED');
    return deafBody(stream);
  }

  close(): void {}
}
