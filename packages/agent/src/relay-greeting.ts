/** The agent's side of a handshake on a fresh carrier. */
import {
  type Challenge,
  commonVersion,
  encodeHandshake,
  HandshakeReader,
  type Hello,
  PortholeError,
  PROTOCOL_VERSION,
  type Welcome,
} from '@porthole/protocol';
import type { Carrier } from '@porthole/protocol/node';

/** A hello that got lost in a dead line must not hold up the next one. */
const HANDSHAKE_TIMEOUT_MS = 5_000;

export interface Greeted {
  readonly welcome: Welcome;
  readonly challenge: Challenge;
  /** Bytes that came behind the welcome: the first frames of the session. */
  readonly rest: Buffer;
}

/**
 * Says hello over `carrier` and waits for the welcome. Rejects with the code the relay refuses with, HANDSHAKE_TIMEOUT,
 * NOT_A_RELAY or RELAY_UNREACHABLE; the carrier is destroyed then. On success the carrier is paused and has no receiver.
 */
export function greetRelay(carrier: Carrier, makeHello: (challenge: Challenge) => Hello): Promise<Greeted> {
  return new Promise((resolve, reject) => {
    const reader = new HandshakeReader();
    let challenge: Challenge | undefined;
    const timer = setTimeout(() => fail(new PortholeError('HANDSHAKE_TIMEOUT')), HANDSHAKE_TIMEOUT_MS);

    function fail(error: unknown): void {
      clearTimeout(timer);
      carrier.receiver = undefined;
      carrier.destroy();
      const known = error instanceof PortholeError ? error : new PortholeError('INTERNAL', '', { cause: error });
      reject(known.code === 'PROTOCOL_ERROR' ? new PortholeError('NOT_A_RELAY', known.detail) : known);
    }

    function onMessage(chunk: Buffer): void {
      const read = reader.feed(chunk);
      if (read === undefined) return;
      const { message, rest } = read;
      if (message.type === 'refused') throw new PortholeError(message.value.code, message.value.detail);
      if (message.type === 'challenge' && challenge === undefined) {
        challenge = message.value;
        if (commonVersion(challenge.versions) === undefined) {
          throw new PortholeError(
            'VERSION_UNSUPPORTED',
            `agent ${PROTOCOL_VERSION}, relay ${challenge.versions.join(', ')}`,
          );
        }
        carrier.write([encodeHandshake({ type: 'hello', value: makeHello(challenge) })]);
        if (rest.length > 0) onMessage(rest);
        return;
      }
      if (message.type !== 'welcome' || challenge === undefined)
        throw new PortholeError('NOT_A_RELAY', `a ${message.type} out of turn`);
      clearTimeout(timer);
      carrier.receiver = undefined;
      // What arrives before the pump is in place stays in the socket.
      carrier.pause();
      resolve({ welcome: message.value, challenge, rest });
    }

    carrier.receiver = {
      onBytes: (chunk) => {
        try {
          onMessage(chunk);
        } catch (error) {
          fail(error);
        }
        return chunk.length;
      },
      onDrain: () => {},
      onClosed: (reason) =>
        fail(reason ?? new PortholeError('RELAY_UNREACHABLE', 'the relay closed the connection during the handshake')),
    };
  });
}
