/** The mixed load of a soak: small requests, transfers with checksums, WebSockets, event streams, TCP; and what went wrong. */
import type { Origin } from '../harness/origin.ts';
import { seededRandom } from '../harness/random.ts';
import { connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import {
  type LongVisit,
  download,
  expectWhole,
  upload,
  visitEvents,
  visitTcp,
  visitWebSocket,
} from '../harness/visits.ts';

const MIB = 1024 * 1024;
/** Longer than any fault lasts, shorter than a hang would. */
const PATIENCE_MS = 60_000;

export interface LoadTargets {
  readonly url: string;
  readonly tcpPort: number;
  readonly origin: Origin;
}

export interface LoadCounts {
  requests: number;
  transfers: number;
  bytes: number;
  longVisits: number;
  messages: number;
  /** What visitors saw go wrong, one sentence each. */
  readonly errors: string[];
}

export class Load {
  readonly counts: LoadCounts = { requests: 0, transfers: 0, bytes: 0, longVisits: 0, messages: 0, errors: [] };
  readonly #targets: LoadTargets;
  #stopping = false;
  #workers: Promise<void>[] = [];
  #published = 0;

  constructor(targets: LoadTargets) {
    this.#targets = targets;
  }

  start(): void {
    const { url, tcpPort } = this.#targets;
    for (let i = 0; i < 6; i++) this.#work(`small requests ${i}`, () => this.#smallRequests(i));
    for (let i = 0; i < 2; i++) this.#work(`downloads ${i}`, () => this.#downloads(i));
    for (let i = 0; i < 2; i++) this.#work(`uploads ${i}`, () => this.#uploads(i));
    for (let i = 0; i < 3; i++)
      this.#work(`WebSocket ${i}`, () => this.#longVisit(() => visitWebSocket(url, { ahead: 2 })));
    for (let i = 0; i < 2; i++) this.#work(`TCP ${i}`, () => this.#longVisit(() => visitTcp(tcpPort, { ahead: 2 })));
    this.#work('event stream', () => this.#events());
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
  }

  #work(what: string, round: () => Promise<void>): void {
    const loop = async (): Promise<void> => {
      while (!this.#stopping) {
        try {
          await round();
        } catch (error) {
          this.counts.errors.push(`${what}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
          // A worker that fails at once must not spin.
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      }
    };
    this.#workers.push(loop());
  }

  /** Twenty requests on one connection, then a new one. */
  async #smallRequests(seed: number): Promise<void> {
    const random = seededRandom(seed + this.counts.requests);
    await using visitor = await connectVisitor(this.#targets.url);
    for (let i = 0; i < 20 && !this.#stopping; i++) {
      const size = random.between(0, 20_000);
      await visitor.send(getRequest(this.#targets.url, `/size/${size}${size % 2 === 0 ? '?chunked' : ''}`));
      const answer = await readAnswer(visitor, { deadlineMs: PATIENCE_MS });
      if (answer.status !== 200 || answer.body.length !== size)
        throw new Error(
          `status ${answer.status} ${answer.field('porthole-error') ?? ''}, ${answer.body.length} of ${size} bytes`,
        );
      this.counts.requests++;
      this.counts.bytes += size;
    }
  }

  async #downloads(which: number): Promise<void> {
    const size = (which + 1) * 8 * MIB;
    expectWhole(await download(this.#targets.url, `/size/${size}`, { deadlineMs: PATIENCE_MS }), size);
    this.counts.transfers++;
    this.counts.bytes += size;
  }

  async #uploads(which: number): Promise<void> {
    const size = (which + 1) * 8 * MIB;
    expectWhole(await upload(this.#targets.url, size, { deadlineMs: PATIENCE_MS, chunked: which === 1 }), size);
    this.counts.transfers++;
    this.counts.bytes += size;
  }

  /** Some thousand messages, then a visit anew. */
  async #longVisit(begin: () => Promise<LongVisit>): Promise<void> {
    const visit = await begin();
    this.counts.longVisits++;
    while (!this.#stopping && visit.count < 5000) await visit.untilCount(visit.count + 10, PATIENCE_MS);
    this.counts.messages += visit.count;
    await visit.stop();
  }

  async #events(): Promise<void> {
    const { url, origin } = this.#targets;
    const visit = await visitEvents(url);
    await origin.whenever(() => origin.eventStreams.size === 1);
    this.counts.longVisits++;
    this.#published = 0;
    while (!this.#stopping && this.#published < 2000) {
      for (let i = 0; i < 10; i++) origin.publish(`${this.#published++}`);
      await visit.untilCount(this.#published, PATIENCE_MS);
    }
    this.counts.messages += visit.count;
    await visit.stop();
    await origin.whenever(() => origin.eventStreams.size === 0);
  }
}
