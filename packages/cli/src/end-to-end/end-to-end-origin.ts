/**
 * An origin that ends visitors' TLS here, with a key that never leaves this machine; the relay passes ciphertext on.
 */
import { createSecureContext, type SecureContext, TLSSocket, type TLSSocketOptions } from 'node:tls';
import { createChallengeCertificate } from '@porthole/acme';
import {
  PortholeError,
  type ExchangeRequest,
  type Origin,
  type RawOpening,
  type Stream,
  type StreamSink,
} from '@porthole/agent';
import type { Inside } from './inside.ts';
import { StreamDuplex } from './stream-duplex.ts';

const CHALLENGE_PROTOCOL = 'acme-tls/1';
const HANDSHAKE_TIMEOUT_MS = 30_000;
/** How long a visitor waits for the first certificate. */
const CERTIFICATE_WAIT_MS = 20_000;

export class EndToEndOrigin implements Origin {
  readonly #inside: Inside;
  readonly #challenges = new Map<string, SecureContext>();
  #context: SecureContext | undefined;
  #waiting: ((context: SecureContext | undefined) => void)[] = [];

  constructor(inside: Inside) {
    this.#inside = inside;
  }

  /** From here on visitors are shown this one; those who wait go on. */
  useCertificate(keyPem: string, chainPem: string): void {
    this.#context = createSecureContext({ key: keyPem, cert: chainPem, minVersion: 'TLSv1.2' });
    for (const resolve of this.#waiting.splice(0)) resolve(this.#context);
  }

  /** Answers validations of a name (RFC 8737) until the returned function is called. */
  answerChallenge(name: string, keyAuthorization: string): () => void {
    const { keyPem, certificatePem } = createChallengeCertificate(name, keyAuthorization, Date.now());
    this.#challenges.set(name, createSecureContext({ key: keyPem, cert: certificatePem, minVersion: 'TLSv1.2' }));
    return () => this.#challenges.delete(name);
  }

  openExchange(_request: ExchangeRequest, stream: Stream): StreamSink {
    stream.reset('NOT_SUPPORTED', 'this tunnel ends TLS by itself: it takes https only');
    return new StreamDuplex(stream).on('error', () => undefined);
  }

  openRaw(opening: RawOpening, stream: Stream): StreamSink {
    const duplex = new StreamDuplex(stream);
    duplex.on('error', () => undefined);
    const socket = new TLSSocket(duplex, this.#options());
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_TIMEOUT_MS);
    socket.on('error', () => undefined);
    socket.once('close', () => clearTimeout(timer));
    let isSecure = false;
    // TLS would wait for the rest of the handshake.
    duplex.once('end', () => {
      if (!isSecure) socket.destroy();
    });
    socket.once('secure', () => {
      isSecure = true;
      clearTimeout(timer);
      if (socket.alpnProtocol === CHALLENGE_PROTOCOL) socket.end();
      else this.#inside.serve(socket, opening);
    });
    return duplex;
  }

  close(): void {
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
    this.#inside.close();
  }

  #options(): TLSSocketOptions {
    const challengeOf = (name: string): SecureContext | undefined => this.#challenges.get(name);
    return {
      isServer: true,
      ...(this.#context === undefined ? {} : { secureContext: this.#context }),
      ALPNCallback: function (this: TLSSocket, { servername, protocols }) {
        if (protocols.length === 1 && protocols[0] === CHALLENGE_PROTOCOL) {
          const challenge = challengeOf(servername);
          if (challenge === undefined) return undefined;
          this.setKeyCert(challenge);
          return CHALLENGE_PROTOCOL;
        }
        return protocols.includes('http/1.1') ? 'http/1.1' : undefined;
      },
      SNICallback: (name, done) => {
        const challenge = this.#challenges.get(name);
        if (challenge !== undefined && this.#context === undefined) done(null, challenge);
        else void this.#certificate().then((context) => done(context === undefined ? noCertificate() : null, context));
      },
    };
  }

  async #certificate(): Promise<SecureContext | undefined> {
    if (this.#context !== undefined) return this.#context;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), CERTIFICATE_WAIT_MS);
      this.#waiting.push((context) => {
        clearTimeout(timer);
        resolve(context);
      });
    });
  }
}

function noCertificate(): PortholeError {
  return new PortholeError('CERTIFICATE_TIMEOUT', 'there is none yet');
}
