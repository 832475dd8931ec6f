/** The relay's side of a handshake: from a fresh carrier to a session that begins or goes on, or a refusal with a code. */
import { randomBytes } from 'node:crypto';
import {
  type Challenge,
  commonVersion,
  type CreateHello,
  deriveSessionKey,
  encodeHandshake,
  type ErrorCode,
  HandshakeReader,
  type Hello,
  PortholeError,
  PROTOCOL_VERSION,
  proveBinding,
  RANDOM_BYTES,
  type ResumeHello,
  sameProof,
  type Welcome,
} from '@porthole/protocol';
import type { Carrier, CarrierReceiver } from '@porthole/protocol/node';
import type { Authenticated } from '../access/access.ts';
import { sourceOf } from '../access/source-of.ts';
import { countCode } from './agent-counters.ts';
import type { AgentParts } from './agent-parts.ts';
import { AgentSession } from './agent-session.ts';

const NONCE_BYTES = 16;

export class RelayHandshake implements CarrierReceiver {
  readonly #carrier: Carrier;
  readonly #sessions: Map<string, AgentSession>;
  readonly #parts: AgentParts;
  readonly #onOver: () => void;
  readonly #reader = new HandshakeReader();
  readonly #nonce = randomBytes(NONCE_BYTES).toString('base64url');
  #timer: NodeJS.Timeout | undefined;
  #tokenId: string | undefined;
  #heard = false;
  #over = false;

  constructor(carrier: Carrier, sessions: Map<string, AgentSession>, parts: AgentParts, onOver: () => void) {
    this.#carrier = carrier;
    this.#sessions = sessions;
    this.#parts = parts;
    this.#onOver = onOver;
  }

  get remoteAddress(): string {
    return this.#carrier.remoteAddress;
  }

  start(): void {
    this.#carrier.receiver = this;
    this.#timer = setTimeout(() => this.#refuse('HANDSHAKE_TIMEOUT', ''), this.#parts.limits.handshakeTimeoutMs);
    const challenge: Challenge = { versions: [PROTOCOL_VERSION], nonce: this.#nonce, software: this.#parts.software };
    this.#carrier.write([encodeHandshake({ type: 'challenge', value: challenge })]);
  }

  abort(): void {
    this.#refuse('GOING_AWAY', '');
  }

  /** The token was taken back; the session may be about to begin. */
  onRevoked(tokenId: string): void {
    if (this.#tokenId === tokenId) this.#refuse('TOKEN_REVOKED', '');
  }

  onBytes(chunk: Buffer): number {
    this.#read(chunk);
    return chunk.length;
  }

  #read(chunk: Buffer): void {
    try {
      if (this.#heard) throw new PortholeError('PROTOCOL_ERROR', 'bytes before the welcome');
      const read = this.#reader.feed(chunk);
      if (read === undefined) return;
      if (read.message.type !== 'hello' || read.rest.length > 0)
        throw new PortholeError('PROTOCOL_ERROR', 'expected one hello');
      this.#heard = true;
      this.#onHello(read.message.value);
    } catch (error) {
      this.#refuseError(error);
    }
  }

  onDrain(): void {}

  onClosed(): void {
    this.#finish();
  }

  #onHello(hello: Hello): void {
    if (commonVersion([hello.version]) === undefined)
      throw new PortholeError('VERSION_UNSUPPORTED', `relay ${PROTOCOL_VERSION}, agent ${hello.version}`);
    if (hello.mode === 'resume') {
      this.#resume(hello);
      return;
    }
    this.#create(hello).catch((error: unknown) => this.#refuseError(error));
  }

  #resume(hello: ResumeHello): void {
    const session = this.#sessions.get(hello.session);
    if (session === undefined) {
      if (!this.#passOn(hello)) throw new PortholeError('SESSION_GONE', 'unknown here');
      return;
    }
    // From here on the carrier's bytes belong to the session.
    this.#finish();
    session.resume(hello, this.#nonce, this.#carrier, encodeWelcome);
  }

  /** The carrier's session may be in another process. From here on its bytes are that one's. */
  #passOn(hello: ResumeHello): boolean {
    const { handover } = this.#parts;
    if (handover === undefined || hello.node === undefined) return false;
    const heard = { hello, nonce: this.#nonce };
    const isPassed = handover.pass(this.#carrier, hello.node, heard, () =>
      this.#refuse('SESSION_GONE', 'its process has ended'),
    );
    if (!isPassed) return false;
    this.#parts.log.info({ event: 'carrier passed on', session: hello.session.slice(0, 8), to: hello.node });
    this.#finish();
    return true;
  }

  async #create(hello: CreateHello): Promise<void> {
    const who = await this.#parts.access.authenticate(hello.token);
    if (this.#over) return;
    if (!who.ok) throw new PortholeError(who.code, who.detail);
    this.#tokenId = who.tokenId;
    this.#makeWay(hello, who);
    const place = await this.#parts.places.take(who.identity);
    // The carrier may have gone meanwhile, or another one begun the same session.
    const isTwin = this.#sessions.has(hello.session);
    if (place.ok && (this.#over || isTwin)) place.leave();
    if (this.#over) return;
    if (!place.ok) throw new PortholeError(place.code, place.detail);
    if (isTwin) throw new PortholeError('PROTOCOL_ERROR', 'session id in use');
    this.#open(hello, who, place.leave);
  }

  /** The agent may never have heard that its session began, and say hello again; anybody else has no business with it. */
  #makeWay(hello: CreateHello, who: Authenticated): void {
    const standing = this.#sessions.get(hello.session);
    if (standing === undefined) return;
    if (standing.who.identity !== who.identity || !standing.untouched)
      throw new PortholeError('PROTOCOL_ERROR', 'session id in use');
    standing.close('SESSION_REPLACED');
  }

  #open(hello: CreateHello, who: Authenticated, leave: () => void): void {
    const keyingMaterial = this.#carrier.keyingMaterial();
    const bound =
      keyingMaterial !== undefined &&
      hello.binding !== undefined &&
      sameProof(hello.binding, proveBinding(keyingMaterial, this.#nonce));
    const random = randomBytes(RANDOM_BYTES).toString('base64url');
    const key = deriveSessionKey(hello.session, hello.random, random, bound ? keyingMaterial : undefined);
    const session = new AgentSession(hello.session, who, { key, bound }, this.#parts, (over) => {
      if (this.#sessions.get(over.id) === over) this.#sessions.delete(over.id);
      leave();
    });
    this.#sessions.set(session.id, session);
    this.#finish();
    this.#parts.log.info({
      event: 'session opened',
      session: session.id.slice(0, 8),
      identity: who.identity,
      token_id: who.tokenId,
      carrier: this.#carrier.kind,
      address: this.#carrier.remoteAddress,
      software: hello.software.slice(0, 64),
    });
    session.begin(
      this.#carrier,
      encodeWelcome({
        ...this.#parts.welcome(who),
        lane: 0,
        epoch: 0,
        received: 0,
        random,
        bound,
        ...nodeOf(this.#parts),
      }),
    );
  }

  #refuseError(error: unknown): void {
    if (error instanceof PortholeError) {
      this.#refuse(error.code, error.detail);
      return;
    }
    this.#parts.log.error({ event: 'fault', err: error });
    this.#refuse('INTERNAL', '');
  }

  #refuse(code: ErrorCode, detail: string): void {
    const { counters, throttledLog, heartbeatMs } = this.#parts;
    const { remoteAddress } = this.#carrier;
    countCode(counters.refusedTotal, code);
    throttledLog.info(sourceOf(remoteAddress), { event: 'agent refused', code, detail, address: remoteAddress });
    this.#finish();
    refuseCarrier(this.#carrier, code, detail, heartbeatMs);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    if (this.#carrier.receiver === this) this.#carrier.receiver = undefined;
    this.#onOver();
  }
}

/** Says why, and closes. `patienceMs`: how long the other end may take to read it. */
export function refuseCarrier(carrier: Carrier, code: ErrorCode, detail: string, patienceMs: number): void {
  carrier.write([encodeHandshake({ type: 'refused', value: { code, detail } })]);
  carrier.end();
  setTimeout(() => carrier.destroy(), patienceMs).unref();
}

function nodeOf({ handover }: AgentParts): Pick<Welcome, 'node'> {
  return handover === undefined ? {} : { node: handover.node };
}

export function encodeWelcome(welcome: Welcome): Buffer {
  return encodeHandshake({ type: 'welcome', value: welcome });
}
