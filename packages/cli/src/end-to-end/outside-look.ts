/** Looks at the tunnel as a visitor does, and says whether the certificate shown there is ours. */
import { connect } from 'node:tls';

export type Seen = 'same' | 'other' | 'unreachable';

const TIMEOUT_MS = 10_000;

/** Compares by fingerprint alone: whoever signed it, only we have its key. Never rejects. */
export async function lookFromOutside(url: string, fingerprint: string): Promise<Seen> {
  const { hostname, port } = new URL(url);
  return await new Promise((resolve) => {
    const socket = connect({
      host: hostname,
      port: port === '' ? 443 : Number(port),
      servername: hostname,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: false,
    });
    const finish = (seen: Seen): void => {
      socket.destroy();
      resolve(seen);
    };
    socket.setTimeout(TIMEOUT_MS, () => finish('unreachable'));
    socket.on('error', () => finish('unreachable'));
    socket.once('secureConnect', () =>
      finish(socket.getPeerCertificate().fingerprint256 === fingerprint ? 'same' : 'other'),
    );
  });
}
