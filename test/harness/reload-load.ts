/** Visitors of every kind, at work while a relay is reloaded. Whatever one of them sees go wrong is kept as a sentence. */
import type { OriginOptions } from './origin.ts';
import { connectVisitor, getRequest, postRequest, readAnswer } from './raw-visitor.ts';
import { download, type LongVisit, visitTcp, visitWebSocket } from './visits.ts';

const PATIENCE_MS = 30_000;

export interface ReloadLoadOptions {
  readonly url: string;
  readonly tcpPort?: number;
  readonly connections?: number;
  /** How long a slow download takes, in milliseconds. */
  readonly slowMs?: number;
}

/** A route for `startOrigin`: `/slow/<ms>` sends 20 pieces of 1,000 bytes over that time. */
export const slowRoute: NonNullable<OriginOptions['route']> = (_request, response, url) => {
  const [, first, ms] = url.pathname.split('/');
  if (first !== 'slow') return false;
  response.writeHead(200, { 'content-length': '20000' });
  let sent = 0;
  const timer = setInterval(() => {
    response.write(Buffer.alloc(1_000, sent));
    sent += 1;
    if (sent < 20) return;
    clearInterval(timer);
    response.end();
  }, Number(ms) / 20);
  response.once('close', () => clearInterval(timer));
  return true;
};

export class ReloadLoad {
  readonly errors: string[] = [];
  requests = 0;
  downloads = 0;
  /** Connections that the relay asked to close. */
  asked = 0;
  readonly #options: ReloadLoadOptions;
  readonly #visits: LongVisit[] = [];
  #tasks: Promise<void>[] = [];
  #isStopping = false;

  constructor(options: ReloadLoadOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { url, tcpPort, connections = 4 } = this.#options;
    this.#visits.push(await visitWebSocket(url, { ahead: 1 }), await visitWebSocket(url, { ahead: 1 }));
    if (tcpPort !== undefined) this.#visits.push(await visitTcp(tcpPort, { ahead: 1 }));
    for (let index = 0; index < connections; index += 1) {
      this.#tasks.push(this.#repeat(`requests ${index}`, () => this.#requestsOnOneConnection(index)));
    }
    for (let index = 0; index < 2; index += 1)
      this.#tasks.push(this.#repeat(`download ${index}`, () => this.#download()));
    if (tcpPort !== undefined) this.#tasks.push(this.#repeat('new TCP connections', () => this.#tcpOnce(tcpPort)));
  }

  /** Ends everything in order, and says how many messages the long visits exchanged. */
  async stop(): Promise<number> {
    this.#isStopping = true;
    await Promise.all(this.#tasks);
    let messages = 0;
    for (const visit of this.#visits) {
      // Still alive: one more message comes back.
      await visit.untilCount(visit.count + 1, PATIENCE_MS).catch((error: unknown) => this.#failed('long visit', error));
      messages += visit.count;
      await visit.stop().catch((error: unknown) => this.#failed('long visit', error));
    }
    return messages;
  }

  async #repeat(what: string, round: () => Promise<void>): Promise<void> {
    while (!this.#isStopping) {
      await round().catch((error: unknown) => this.#failed(what, error));
      // Visitors are not all there is: the relay under test and its agent share this machine.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  #failed(what: string, error: unknown): void {
    if (this.errors.length < 20)
      this.errors.push(`${what}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  }

  /** GETs and POSTs in turn, until the relay says that this connection ends. */
  async #requestsOnOneConnection(which: number): Promise<void> {
    const { url } = this.#options;
    await using visitor = await connectVisitor(url);
    for (let round = 0; !this.#isStopping; round += 1) {
      const body = `${which} ${round}`;
      await visitor.send(round % 2 === 0 ? getRequest(url, `/size/${100 + round}`) : postRequest(url, '/echo', body));
      const answer = await readAnswer(visitor, { deadlineMs: PATIENCE_MS });
      const isWhole = round % 2 === 0 ? answer.body.length === 100 + round : answer.body.toString() === body;
      if (answer.status !== 200 || !isWhole)
        throw new Error(`status ${answer.status} ${answer.field('porthole-error') ?? ''}`);
      this.requests += 1;
      if (answer.field('connection')?.toLowerCase() !== 'close') continue;
      this.asked += 1;
      return;
    }
  }

  async #download(): Promise<void> {
    const { url, slowMs = 1_500 } = this.#options;
    const transfer = await download(url, `/slow/${slowMs}`, { deadlineMs: slowMs + PATIENCE_MS });
    if (transfer.status !== 200 || transfer.length !== 20_000)
      throw new Error(`status ${transfer.status}, ${transfer.length} bytes`);
    this.downloads += 1;
  }

  async #tcpOnce(port: number): Promise<void> {
    const visit = await visitTcp(port, { ahead: 1 });
    await visit.untilCount(3, PATIENCE_MS);
    await visit.stop();
  }
}
