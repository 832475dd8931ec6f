/** One HTTP request to a given address under a given name, and what there is to see on the way: certificate, answer, upgrade. */
import { request as requestPlain, type IncomingMessage } from 'node:http';
import { request as requestTls } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, getCACertificates, type PeerCertificate, TLSSocket } from 'node:tls';
import type { ListenAddress } from '../../config/config.ts';

export interface ProbeTarget {
  readonly secure: boolean;
  readonly address: string;
  readonly port: number;
  /** As in `Host` and, with TLS, the name asked for. */
  readonly host: string;
  readonly ca?: string | undefined;
}

export interface ServedCertificateFacts {
  readonly subject: string;
  readonly expiresAtMs: number;
  readonly coversHost: boolean;
  /** Why the chain is not trusted, expiry and name aside; undefined when it is. */
  readonly distrust: string | undefined;
}

export interface ProbeAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly certificate: ServedCertificateFacts | undefined;
}

const LIMIT_MS = 5000;
const MAX_BODY = 64 * 1024;
const NOT_ABOUT_TRUST = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'ERR_TLS_CERT_ALTNAME_INVALID'];

/** Rejects with the system's or the TLS error when there is no answer. */
export function probe(
  target: ProbeTarget,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<ProbeAnswer> {
  const { secure, address, port, host, ca } = target;
  const options = {
    host: address,
    port,
    path,
    agent: false,
    headers: { Host: hostField(target), ...headers },
    signal: AbortSignal.timeout(LIMIT_MS),
  } as const;
  const trust = ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] };
  return new Promise((resolve, reject) => {
    const request = secure
      ? requestTls({
          ...options,
          ...trust,
          ...(isIP(host) === 0 ? { servername: host } : {}),
          rejectUnauthorized: false,
        })
      : requestPlain(options);
    request.on('error', reject);
    const take = (response: IncomingMessage, socket: Socket, body: string): void => {
      const certificate = socket instanceof TLSSocket ? factsOf(socket, host) : undefined;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body, certificate });
      request.destroy();
    };
    request.on('upgrade', (response, socket: Socket) => {
      take(response, socket, '');
      socket.destroy();
    });
    request.on('response', (response) => {
      const { socket } = response;
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (body.length < MAX_BODY) body += chunk;
      });
      response.on('end', () => take(response, socket, body));
      response.on('error', reject);
    });
    request.end();
  });
}

/** Whether what listens at an address of ours is a relay. */
export async function isRelay(address: ListenAddress, domain: string): Promise<boolean> {
  const host = address.host === undefined || address.host === '0.0.0.0' ? '127.0.0.1' : address.host;
  const target = { secure: false, address: host === '::' ? '::1' : host, port: address.port, host: domain };
  try {
    return 'porthole-error' in (await probe(target, '/')).headers;
  } catch {
    return false;
  }
}

function hostField({ host, port, secure }: ProbeTarget): string {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return port === (secure ? 443 : 80) ? name : `${name}:${port}`;
}

function factsOf(socket: TLSSocket, host: string): ServedCertificateFacts {
  const certificate = socket.getPeerCertificate();
  const error = socket.authorizationError as Error | string | null | undefined;
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error ?? '');
  return {
    subject: certificate.subjectaltname ?? 'no names',
    expiresAtMs: Date.parse(certificate.valid_to),
    coversHost: covers(host, certificate),
    distrust: socket.authorized || NOT_ABOUT_TRUST.includes(code) ? undefined : code,
  };
}

function covers(host: string, certificate: PeerCertificate): boolean {
  return checkServerIdentity(host, certificate) === undefined;
}
