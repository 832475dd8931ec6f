/**
 * A small ACME server in this process, over plain HTTP on loopback. It has what Debian's pebble lacks (renewal
 * information, profiles) and misbehaves on demand. It believes every challenge unless told otherwise.
 */
import { createPublicKey, randomUUID, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { readDer, readDerSequence, tagged } from '../../packages/acme/src/der.ts';
import { createCertificate, createKeyPair, derToPem, type KeyPair } from '../../packages/acme/src/x509.ts';
import { Listener } from './listener.ts';

type Step =
  | 'directory'
  | 'newNonce'
  | 'newAccount'
  | 'newOrder'
  | 'order'
  | 'authorization'
  | 'challenge'
  | 'finalize'
  | 'certificate'
  | 'renewalInfo'
  | 'revokeCert';

/** Instead of the right answer. `hang`: none ever. `reset`: the socket is torn. */
export type Fault =
  | 'hang'
  | 'reset'
  | {
      readonly status: number;
      readonly body?: unknown;
      readonly headers?: Readonly<Record<string, string>>;
      readonly raw?: string;
    };

export const problem = (type: string, detail = 'injected', status = 400): Fault => ({
  status,
  body: { type: `urn:ietf:params:acme:error:${type}`, detail },
});

interface FakeOrder {
  readonly identifiers: readonly { readonly type: string; readonly value: string }[];
  readonly profile: string | undefined;
  readonly replaces: string | undefined;
  status: 'pending' | 'ready' | 'valid' | 'invalid';
  readonly authorizations: Map<string, { status: string; error?: unknown }>;
  chainPem?: string;
}

export interface FakeAcmeOptions {
  readonly profiles?: Readonly<Record<string, string>>;
  /** Of what it issues. Default 90 days. */
  readonly lifeMs?: number;
  readonly now?: () => number;
}

export class FakeAcme {
  readonly orders: FakeOrder[] = [];
  /** How often each step was asked for. */
  readonly counts = new Map<Step, number>();
  /** What the next certificates are really for and signed with, when that should be wrong. */
  lie: { names?: readonly string[]; publicKey?: KeyObject; chainPem?: string; identifier?: string } = {};
  /** The window told for any certificate, and when to ask again. */
  renewal: { start: string; end: string; retryAfterSeconds: number } | undefined;
  /** Challenge types that fail, with the error given. */
  readonly failing = new Map<string, unknown>();
  readonly #faults = new Map<Step, Fault[]>();
  readonly #options: FakeAcmeOptions;
  readonly #authority: KeyPair = createKeyPair();
  readonly #listener: Listener;
  #nonces = new Set<string>();

  constructor(options: FakeAcmeOptions = {}) {
    this.#options = options;
    this.#listener = new Listener(createServer((request, response) => void this.#serve(request, response)));
  }

  async start(): Promise<this> {
    await this.#listener.listen();
    return this;
  }

  get directoryUrl(): string {
    return this.#url('directory');
  }

  /** The next requests of a step meet these instead, one each. */
  inject(step: Step, ...faults: Fault[]): void {
    this.#faults.set(step, [...(this.#faults.get(step) ?? []), ...faults]);
  }

  async close(): Promise<void> {
    await this.#listener.close();
  }

  #url(step: Step, ...parts: readonly (string | number)[]): string {
    return `http://127.0.0.1:${this.#listener.port}/${[step, ...parts].join('/')}`;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, step = '', ...parts] = (request.url ?? '').split('/');
    const name = step as Step;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const nonce = randomUUID();
    this.#nonces.add(nonce);
    response.setHeader('replay-nonce', nonce);
    const fault = this.#faults.get(name)?.shift();
    if (fault !== undefined) return this.#misbehave(request, response, fault);
    if (request.method !== 'POST') return this.#answerUnsigned(name, response);
    const jws = JSON.parse(text) as { protected: string; payload: string };
    const header = JSON.parse(Buffer.from(jws.protected, 'base64url').toString()) as { nonce: string; url: string };
    if (!this.#nonces.delete(header.nonce)) return send(response, 400, { type: 'urn:ietf:params:acme:error:badNonce' });
    if (!header.url.endsWith(request.url ?? ''))
      return send(response, 403, { type: 'urn:ietf:params:acme:error:unauthorized' });
    const payload =
      jws.payload === ''
        ? undefined
        : (JSON.parse(Buffer.from(jws.payload, 'base64url').toString()) as Record<string, unknown>);
    return this.#answerSigned(name, parts, payload, response);
  }

  #misbehave(request: IncomingMessage, response: ServerResponse, fault: Fault): void {
    if (fault === 'hang') return;
    if (fault === 'reset') {
      request.socket.destroy();
      return;
    }
    for (const [field, value] of Object.entries(fault.headers ?? {})) response.setHeader(field, value);
    if (fault.raw !== undefined)
      response.writeHead(fault.status, { 'content-type': 'application/json' }).end(fault.raw);
    else send(response, fault.status, fault.body ?? {}, 'application/problem+json');
  }

  #answerUnsigned(step: Step, response: ServerResponse): void {
    if (step === 'newNonce') return void response.writeHead(200).end();
    if (step === 'renewalInfo' && this.renewal !== undefined) {
      response.setHeader('retry-after', String(this.renewal.retryAfterSeconds));
      return send(response, 200, { suggestedWindow: { start: this.renewal.start, end: this.renewal.end } });
    }
    if (step !== 'directory') return send(response, 404, {});
    const steps: Step[] = [
      'newNonce',
      'newAccount',
      'newOrder',
      'revokeCert',
      ...(this.renewal === undefined ? [] : (['renewalInfo'] as const)),
    ];
    return send(response, 200, {
      ...Object.fromEntries(steps.map((name) => [name, this.#url(name)])),
      meta: { profiles: this.#options.profiles ?? {} },
    });
  }

  #answerSigned(
    step: Step,
    parts: readonly string[],
    payload: Record<string, unknown> | undefined,
    response: ServerResponse,
  ): void {
    const index = Number(parts[0]);
    const order = this.orders[index];
    if (step === 'newAccount') {
      response.setHeader('location', this.#url('newAccount', 1));
      return send(response, 201, { status: 'valid' });
    }
    if (step === 'newOrder') return this.#newOrder(payload ?? {}, response);
    if (step === 'revokeCert') return send(response, 200, {});
    if (order === undefined) return send(response, 404, {});
    if (step === 'authorization') return this.#authorization(order, index, parts[1] ?? '', payload, response);
    if (step === 'challenge') return this.#challenge(order, parts[1] ?? '', parts[2] ?? '', response);
    if (step === 'finalize') this.#issue(order, Buffer.from(String(payload?.['csr']), 'base64url'));
    if (step === 'certificate')
      return void response.writeHead(200, { 'content-type': 'application/pem-certificate-chain' }).end(order.chainPem);
    return this.#sendOrder(order, index, 200, response);
  }

  #newOrder(payload: Record<string, unknown>, response: ServerResponse): void {
    const identifiers = payload['identifiers'] as FakeOrder['identifiers'];
    this.orders.push({
      identifiers,
      profile: payload['profile'] as string | undefined,
      replaces: payload['replaces'] as string | undefined,
      status: 'pending',
      authorizations: new Map(identifiers.map(({ value }) => [value, { status: 'pending' }])),
    });
    const index = this.orders.length - 1;
    response.setHeader('location', this.#url('order', index));
    this.#sendOrder(this.orders[index] as FakeOrder, index, 201, response);
  }

  #sendOrder(order: FakeOrder, index: number, status: number, response: ServerResponse): void {
    send(response, status, {
      status: order.status,
      authorizations: [...order.authorizations.keys()].map((name) =>
        this.#url('authorization', index, encodeURIComponent(name)),
      ),
      finalize: this.#url('finalize', index),
      ...(order.chainPem === undefined ? {} : { certificate: this.#url('certificate', index) }),
    });
  }

  #authorization(
    order: FakeOrder,
    index: number,
    part: string,
    payload: Record<string, unknown> | undefined,
    response: ServerResponse,
  ): void {
    const name = decodeURIComponent(part);
    const state = order.authorizations.get(name) ?? { status: 'invalid' };
    if (payload?.['status'] === 'deactivated') state.status = 'deactivated';
    const wildcard = name.startsWith('*.');
    const type = order.identifiers.find(({ value }) => value === name)?.type ?? 'dns';
    const challenges = (wildcard ? ['dns-01'] : ['http-01', 'tls-alpn-01', 'dns-01']).map((kind) => ({
      type: kind,
      url: this.#url('challenge', index, part, kind),
      token: `token-${index}-${kind}`,
      status: state.status,
      ...(state.error === undefined ? {} : { error: state.error }),
    }));
    const value = this.lie.identifier ?? (wildcard ? name.slice(2) : name);
    send(response, 200, { identifier: { type, value }, wildcard, status: state.status, challenges });
  }

  #challenge(order: FakeOrder, part: string, type: string, response: ServerResponse): void {
    const state = order.authorizations.get(decodeURIComponent(part));
    const error = this.failing.get(type);
    if (state !== undefined) {
      state.status = error === undefined ? 'valid' : 'invalid';
      if (error !== undefined) state.error = error;
    }
    const states = [...order.authorizations.values()].map(({ status }) => status);
    if (states.includes('invalid')) order.status = 'invalid';
    else if (states.every((status) => status === 'valid')) order.status = 'ready';
    send(response, 200, { type, status: 'processing' });
  }

  #issue(order: FakeOrder, csr: Buffer): void {
    const now = (this.#options.now ?? Date.now)();
    const info = readDerSequence(csr)[0]?.content ?? Buffer.alloc(0);
    const [, , spki] = readDer(info);
    const publicKey = createPublicKey({
      key: tagged(0x30, spki?.content ?? Buffer.alloc(0)),
      format: 'der',
      type: 'spki',
    });
    const der = createCertificate({
      subject: 'issued',
      publicKey: this.lie.publicKey ?? publicKey,
      issuer: { name: 'Fake CA', key: this.#authority.privateKey },
      names: this.lie.names ?? order.identifiers.map(({ value }) => value),
      notBefore: new Date(now),
      notAfter: new Date(now + (this.#options.lifeMs ?? 90 * 86_400_000)),
    });
    order.chainPem = this.lie.chainPem ?? derToPem('CERTIFICATE', der);
    order.status = 'valid';
  }
}

function send(response: ServerResponse, status: number, body: unknown, type = 'application/json'): void {
  response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body));
}
