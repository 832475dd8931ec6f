/** Whether the certificate that an `https://` or `grpcs://` target shows is the right one. */
import { isIP } from 'node:net';
import { checkServerIdentity, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { PortholeError } from '@porthole/protocol';
import type { OriginTarget } from './target.ts';

export interface OriginTrust {
  /**
   * `on`: an authority's, and for the right name. `off`: any. `sha256:<fingerprint>`: that one and no other, whoever
   * signed it. Default: `on`, but `off` for targets on this machine when there is no `ca`.
   */
  readonly verify?: string | undefined;
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** What is asked for in TLS (SNI) and must stand in the certificate. Default: the target's host. */
  readonly serverName?: string | undefined;
}

const FINGERPRINT = /^sha256:([0-9a-f]{64})$/;

/** What is wrong with it, for people; undefined: nothing. */
export function trustProblem({ verify, ca }: OriginTrust): string | undefined {
  if (verify === undefined) return undefined;
  const isKnown = verify === 'on' || verify === 'off' || FINGERPRINT.test(plain(verify));
  if (!isKnown)
    return `${JSON.stringify(verify)} is not on, off or sha256: with the 64 hexadecimal digits of a fingerprint`;
  return verify !== 'on' && ca !== undefined ? `authorities to trust do not go with ${verify.slice(0, 6)}` : undefined;
}

/** How a connection to the target is to be opened. Throws CONFIG_INVALID. */
export function trustOptions({ address, loopback }: OriginTarget, trust: OriginTrust): ConnectionOptions {
  const problem = trustProblem(trust);
  if (problem !== undefined) throw new PortholeError('CONFIG_INVALID', problem);
  const { verify, ca, serverName } = trust;
  const name = serverName ?? (address.kind === 'host' ? address.host : 'localhost');
  const isChecked = verify === 'on' || (verify === undefined && (!loopback || ca !== undefined));
  return {
    // Addresses are no server names (RFC 6066 section 3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(serverName === undefined ? {} : { checkServerIdentity: (_host, shown) => checkServerIdentity(name, shown) }),
    rejectUnauthorized: isChecked,
    ...(ca === undefined ? {} : { ca }),
  };
}

/** Of a connection that stands: an error when its certificate is not the one that was named. */
export function pinFailure(socket: TLSSocket, { verify }: OriginTrust): Error | undefined {
  const wanted = FINGERPRINT.exec(plain(verify ?? ''))?.[1];
  if (wanted === undefined) return undefined;
  const shown = socket.getPeerX509Certificate()?.fingerprint256 ?? 'none';
  if (plain(shown) === wanted) return undefined;
  return Object.assign(new Error(`its certificate has SHA-256 ${shown}`), { code: 'CERT_NOT_AS_NAMED' });
}

/** Fingerprints come with colons and in capitals, too. */
function plain(text: string): string {
  const [, head = '', digits = ''] = /^(sha256:)?(.*)$/is.exec(text) ?? [];
  return head.toLowerCase() + digits.replaceAll(':', '').toLowerCase();
}
