/** Two Node processes that only pass bytes on: the least that a tunnel in Node can cost. For small requests only. */
import { fileURLToPath } from 'node:url';
import { freePorts, type Workbench } from '../processes.ts';
import type { Origin, Path } from './topology.ts';

const PROGRAM = fileURLToPath(new URL('../bare-pair.ts', import.meta.url));

export const BARE = 'bare Node pair';

export async function openBare(bench: Workbench, origin: Origin): Promise<Path> {
  const [visitorPort = 0, agentPort = 0] = await freePorts(2);
  const relay = bench.startNode(PROGRAM, ['relay', String(visitorPort), String(agentPort)]);
  await relay.line(/ready/);
  const agent = bench.startNode(PROGRAM, ['agent', String(agentPort), String(origin.filesPort)]);
  await agent.line(/ready/);
  const place = { port: visitorPort, host: 'bench.localhost' };
  return {
    files: place,
    sink: place,
    pids: { relay: relay.pid, agent: agent.pid },
    close: async () => {
      await agent.stop();
      await relay.stop();
    },
  };
}
