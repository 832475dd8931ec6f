/** The usual scene of an end-to-end test: a relay, an agent with one tunnel to an origin, and optionally a cutter between them. */
import type { LookupFunction } from 'node:net';
import { type AgentOptions, type AgentUnderTest, startAgent } from './agent.ts';
import { type CarrierCutter, startCarrierCutter } from './carrier-cutter.ts';
import { type RelayOptions, type RelayUnderTest, startRelay } from './relay.ts';

export interface StageOptions {
  readonly relay?: RelayOptions;
  readonly agent?: Partial<AgentOptions>;
  /** Put a carrier cutter between agent and relay. Default false. */
  readonly cutter?: boolean;
}

export interface Stage {
  readonly relay: RelayUnderTest;
  readonly agent: AgentUnderTest;
  readonly cutter: CarrierCutter | undefined;
  /** The identity's token, when the stage made one. */
  readonly token: string;
  /** Public URL of the tunnel, without a slash at its end. */
  readonly url: string;
  /** What stands in `Host`. */
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startStage(target: string | number, options: StageOptions = {}): Promise<Stage> {
  const relay = await startRelay(options.relay);
  const parts: { close(): Promise<void> }[] = [relay];
  const close = async (): Promise<void> => {
    // Children first, and each one even if another fails.
    const failures: unknown[] = [];
    for (const part of parts.splice(0).toReversed()) await part.close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  try {
    const cutter = options.cutter === true ? await startCarrierCutter({ port: () => relay.port }) : undefined;
    if (cutter !== undefined) parts.push(cutter);
    const token = options.agent?.token ?? (await relay.addToken('ada'));
    const agent = await startAgent({ relayUrl: cutter?.url ?? relay.url, target, token, ...options.agent });
    parts.push(agent);
    const url = (await agent.url()).replace(/\/$/, '');
    const { host, port } = new URL(url);
    return { relay, agent, cutter, token, url, host, port: Number(port), close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

export interface CutStage extends Stage {
  readonly cutter: CarrierCutter;
}

/** A stage with a carrier cutter between agent and relay. */
export async function startCutStage(target: string | number, options: StageOptions = {}): Promise<CutStage> {
  const stage = await startStage(target, { ...options, cutter: true });
  return stage as CutStage;
}

/** For clients with a resolver of their own: every name is this machine. */
export const everythingIsHere: LookupFunction = (_name, options, done) => {
  const address = { address: '127.0.0.1', family: 4 };
  if (options.all === true) done(null, [address]);
  else done(null, address.address, address.family);
};
