/** One HTTPS request to a certificate authority: bounded in time and size, cancellable, with an extra CA if need be. */
import { Agent as HttpAgent, type IncomingHttpHeaders, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { PortholeError } from '@porthole/protocol';
import { AcmeError } from './problem.ts';

export interface AcmeRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: string;
  /** Sent as `application/jose+json`. */
  readonly body?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface AcmeAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface AcmeTransport {
  send(request: AcmeRequest): Promise<AcmeAnswer>;
  close(): void;
}

export interface TransportOptions {
  /** PEM of the authority that signed the directory's own certificate, when it is a private one. */
  readonly ca?: string | undefined;
  /** For one request, answer included. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Default `porthole-relay`. */
  readonly userAgent?: string | undefined;
}

const MAX_ANSWER_BYTES = 1024 * 1024;

/**
 * RFC 8555 section 6.1 wants https. Plain http is taken only for this machine itself, for a test authority. Every
 * address an authority sends goes through here too.
 */
export function checkAcmeUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const local = url?.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url === undefined || (url.protocol !== 'https:' && !local))
    throw new AcmeError('ACME_BAD_ANSWER', `"${text.slice(0, 200)}" is not an https address`);
  return url;
}

export function createTransport(options: TransportOptions = {}): AcmeTransport {
  const secure = new HttpsAgent({
    keepAlive: true,
    maxSockets: 4,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  const plain = new HttpAgent({ keepAlive: true, maxSockets: 4 });
  const timeoutMs = options.timeoutMs ?? 30_000;
  const userAgent = options.userAgent ?? 'porthole-relay';
  return {
    send: (request) => send(request, { secure, plain, timeoutMs, userAgent }),
    close: () => {
      secure.destroy();
      plain.destroy();
    },
  };
}

interface Sending {
  readonly secure: HttpsAgent;
  readonly plain: HttpAgent;
  readonly timeoutMs: number;
  readonly userAgent: string;
}

async function send(request: AcmeRequest, sending: Sending): Promise<AcmeAnswer> {
  const url = checkAcmeUrl(request.url);
  if (isAborted(request.signal)) throw cancelled();
  const timeout = AbortSignal.timeout(sending.timeoutMs);
  const signal = request.signal === undefined ? timeout : AbortSignal.any([request.signal, timeout]);
  try {
    return await exchange(url, request, sending, signal);
  } catch (error) {
    if (error instanceof PortholeError) throw error;
    if (isAborted(request.signal)) throw cancelled();
    const why = timeout.aborted
      ? `no answer within ${sending.timeoutMs} ms`
      : error instanceof Error
        ? error.message
        : String(error);
    throw new AcmeError('ACME_UNREACHABLE', `${url.host}: ${why}`, { cause: error });
  }
}

/** A call, because it changes between two looks. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function exchange(url: URL, request: AcmeRequest, sending: Sending, signal: AbortSignal): Promise<AcmeAnswer> {
  const isSecure = url.protocol === 'https:';
  const headers: Record<string, string | number> = { 'user-agent': sending.userAgent };
  if (request.accept !== undefined) headers['accept'] = request.accept;
  if (request.body !== undefined) {
    headers['content-type'] = 'application/jose+json';
    headers['content-length'] = Buffer.byteLength(request.body);
  }
  const options = { method: request.method, headers, signal, agent: isSecure ? sending.secure : sending.plain };
  return new Promise((resolve, reject) => {
    const outgoing = (isSecure ? requestHttps : requestHttp)(url, options, (incoming) => {
      const chunks: Buffer[] = [];
      let size = 0;
      incoming.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= MAX_ANSWER_BYTES) chunks.push(chunk);
        else incoming.destroy(new AcmeError('ACME_BAD_ANSWER', `an answer larger than ${MAX_ANSWER_BYTES} bytes`));
      });
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(request.body);
  });
}

export function cancelled(): PortholeError {
  return new PortholeError('CANCELLED', 'the certificate is not wanted any more');
}
