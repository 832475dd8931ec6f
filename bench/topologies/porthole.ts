/** Porthole as its users start it: the relay's and the agent's programs, plain carrier, an open relay on loopback. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { delayed } from '../delayed.ts';
import { freePort, listening, type RunningProgram, type Workbench } from '../processes.ts';
import type { Path, Topology } from './topology.ts';

const RELAY = fileURLToPath(new URL('../../packages/relay/bin/porthole-relay.mjs', import.meta.url));
const CLI = fileURLToPath(new URL('../../packages/cli/bin/porthole.mjs', import.meta.url));

export interface RunningRelay {
  readonly program: RunningProgram;
  readonly httpPort: number;
  readonly adminPort: number;
}

export async function startRelay(bench: Workbench): Promise<RunningRelay> {
  const [httpPort, adminPort] = [await freePort(), await freePort()];
  const folder = mkdtempSync(join(bench.folder, 'relay-'));
  const config = join(folder, 'relay.yml');
  // JSON is YAML. Everything is on loopback, so the relay may run open; one process, so that its memory can be read.
  writeFileSync(config, JSON.stringify({ open: true, log_level: 'warn', workers: 0, admin: `127.0.0.1:${adminPort}` }));
  const http = `127.0.0.1:${httpPort}`;
  const args = ['serve', '--config', config, '--domain', 'localhost', '--http', http, '--data', join(folder, 'data')];
  const program = bench.startNode(RELAY, args);
  await Promise.race([listening(httpPort), program.line(/(?!)/)]);
  return { program, httpPort, adminPort };
}

export async function startAgent(
  bench: Workbench,
  relayPort: number,
  target: number,
  name: string,
): Promise<RunningProgram> {
  const relay = `http://127.0.0.1:${relayPort}`;
  const args = ['http', String(target), '--name', name, '--relay', relay, '--json'];
  const program = bench.startNode(CLI, args);
  await program.line(/"event":"tunnel"/);
  return program;
}

export const porthole: Topology = {
  name: 'porthole',
  isAvailable: () => true,
  async open(bench, origin, oneWayMs): Promise<Path> {
    const relay = await startRelay(bench);
    const line = await delayed(bench, relay.httpPort, oneWayMs);
    const files = await startAgent(bench, line.port, origin.filesPort, 'bench');
    const sink = await startAgent(bench, line.port, origin.sinkPort, 'sink');
    return {
      files: { port: relay.httpPort, host: 'bench.localhost' },
      sink: { port: relay.httpPort, host: 'sink.localhost' },
      pids: { relay: relay.program.pid, agent: files.pid },
      close: async () => {
        await files.stop();
        await sink.stop();
        await relay.program.stop();
        await line.program?.stop();
      },
    };
  },
};
