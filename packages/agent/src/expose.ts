/** The library in one call: a local service, a server or a handler on a public address. */
import { Agent, type AgentOptions, type LinkFactory, type TunnelOptions } from './agent.ts';
import type { Tunnel } from './tunnel.ts';

export type ExposeOptions = AgentOptions & TunnelOptions;

/**
 * Puts `target`, `server` or `fetch` on a public address of `relay`. The tunnel has an agent of its own, which keeps
 * the address through network trouble and relay restarts until `close`. Use an `Agent` for several tunnels over one
 * link.
 *
 * ```ts
 * await using tunnel = await expose({ relay: 'https://tunnel.example.com', token, target: 3000 });
 * console.log(tunnel.url);
 * ```
 *
 * Rejects with PortholeError: the code of a refusal (NAME_TAKEN, TOKEN_INVALID, …), TARGET_INVALID, CONFIG_INVALID, or
 * what kept it from the relay for `openTimeoutMs`.
 */
export async function expose(options: ExposeOptions, openLink?: LinkFactory): Promise<Tunnel> {
  const agent = new Agent(options, openLink);
  try {
    return await agent.expose({ ...options, closesAgent: true });
  } catch (error) {
    await agent.close(0);
    throw error;
  }
}
