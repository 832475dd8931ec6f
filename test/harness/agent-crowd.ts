/** Starts many agents in one process of their own. */
import { fileURLToPath } from 'node:url';
import { Program } from './program.ts';
import { FROM_SOURCE } from './relay.ts';

const MAIN = fileURLToPath(new URL('agent-crowd-main.ts', import.meta.url));

/** Resolves when the tunnels of all agents stand. */
export async function startAgentCrowd(relayUrl: string, count: number, token: string): Promise<Program> {
  const program = new Program({
    name: `${count} agents`,
    command: process.execPath,
    args: [FROM_SOURCE, MAIN, relayUrl, String(count)],
    env: { PORTHOLE_TOKEN: token },
  });
  await program.waitForLine('all tunnels stand', (line) => line === `standing ${count}` || undefined, 60_000);
  return program;
}
