/** Visitors over TLS in a test: one request with a name, a CA and what the handshake said; and sockets for odder things. */
import { once } from 'node:events';
import { request } from 'node:https';
import { type ConnectionOptions, type PeerCertificate, type TLSSocket, connect } from 'node:tls';
import { DEFAULT_DEADLINE_MS, within } from './until.ts';

export interface SecureVisit extends ConnectionOptions {
  readonly port: number;
  /** SNI, and `Host` unless that is given. */
  readonly servername: string;
  readonly host?: string;
  readonly path?: string;
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface SecureAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly certificate: PeerCertificate;
}

/** Connects to 127.0.0.1. */
export async function visitSecurely(visit: SecureVisit): Promise<SecureAnswer> {
  const { servername, port, path = '/', method = 'GET', body, headers, host, ...tls } = visit;
  const { promise, resolve, reject } = Promise.withResolvers<SecureAnswer>();
  const outgoing = request(
    {
      ...tls,
      servername,
      port,
      path,
      method,
      host: '127.0.0.1',
      agent: false,
      headers: { host: `${host ?? servername}:${port}`, ...headers },
    },
    (answer) => {
      const certificate = (answer.socket as TLSSocket).getPeerCertificate();
      let text = '';
      answer.setEncoding('latin1');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, body: text, headers: answer.headers, certificate }),
      );
    },
  );
  outgoing.on('error', reject);
  outgoing.end(body);
  return await within(`${servername}${path}`, promise);
}

/** A socket through its handshake. */
export async function connectSecurely(
  options: ConnectionOptions,
  deadlineMs = DEFAULT_DEADLINE_MS,
): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', ...options });
  await within('the handshake', once(socket, 'secureConnect'), deadlineMs);
  return socket;
}
