/** Other tunnels, when their programs are on PATH. Each is set up as its own documentation says, without encryption. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { delayed } from '../delayed.ts';
import { findOnPath, freePort, listening, type RunningProgram, type Workbench } from '../processes.ts';
import type { Origin, Path, Topology } from './topology.ts';

interface Started {
  readonly relay: RunningProgram;
  readonly agents: readonly RunningProgram[];
  readonly filesPort: number;
  readonly sinkPort: number;
  readonly line: RunningProgram | undefined;
}

function tunnel(
  name: string,
  programs: readonly string[],
  start: (bench: Workbench, origin: Origin, oneWayMs: number) => Promise<Started>,
): Topology {
  return {
    name,
    isAvailable: () => programs.every((program) => findOnPath(program) !== undefined),
    async open(bench, origin, oneWayMs): Promise<Path> {
      const started = await start(bench, origin, oneWayMs);
      await listening(started.filesPort);
      await listening(started.sinkPort);
      return {
        files: { port: started.filesPort, host: 'bench.localhost' },
        sink: { port: started.sinkPort, host: 'bench.localhost' },
        pids: { relay: started.relay.pid, agent: started.agents[0]?.pid ?? -1 },
        close: async () => {
          for (const agent of started.agents) await agent.stop();
          await started.relay.stop();
          await started.line?.stop();
        },
      };
    },
  };
}

function program(name: string): string {
  return findOnPath(name) as string;
}

const frp = tunnel('frp', ['frps', 'frpc'], async (bench, origin, oneWayMs) => {
  const [bindPort, filesPort, sinkPort] = [await freePort(), await freePort(), await freePort()];
  const relayFile = join(bench.folder, `frps-${bindPort}.toml`);
  writeFileSync(relayFile, `bindAddr = "127.0.0.1"\nbindPort = ${bindPort}\nproxyBindAddr = "127.0.0.1"\n`);
  const relay = bench.start(program('frps'), ['-c', relayFile]);
  await listening(bindPort);
  const line = await delayed(bench, bindPort, oneWayMs);
  const agentFile = join(bench.folder, `frpc-${bindPort}.toml`);
  const entry = (name: string, local: number, remote: number): string =>
    `[[proxies]]\nname = "${name}"\ntype = "tcp"\nlocalIP = "127.0.0.1"\nlocalPort = ${local}\nremotePort = ${remote}\n`;
  writeFileSync(
    agentFile,
    `serverAddr = "127.0.0.1"\nserverPort = ${line.port}\ntransport.tls.enable = false\n${entry('files', origin.filesPort, filesPort)}${entry('sink', origin.sinkPort, sinkPort)}`,
  );
  return { relay, agents: [bench.start(program('frpc'), ['-c', agentFile])], filesPort, sinkPort, line: line.program };
});

const rathole = tunnel('rathole', ['rathole'], async (bench, origin, oneWayMs) => {
  const [bindPort, filesPort, sinkPort] = [await freePort(), await freePort(), await freePort()];
  const relayFile = join(bench.folder, `rathole-server-${bindPort}.toml`);
  const service = (name: string, key: string, port: number): string =>
    `[${name}]\ntoken = "bench"\n${key} = "127.0.0.1:${port}"\n`;
  writeFileSync(
    relayFile,
    `[server]\nbind_addr = "127.0.0.1:${bindPort}"\n${service('server.services.files', 'bind_addr', filesPort)}${service('server.services.sink', 'bind_addr', sinkPort)}`,
  );
  const relay = bench.start(program('rathole'), ['--server', relayFile]);
  await listening(bindPort);
  const line = await delayed(bench, bindPort, oneWayMs);
  const agentFile = join(bench.folder, `rathole-client-${bindPort}.toml`);
  writeFileSync(
    agentFile,
    `[client]\nremote_addr = "127.0.0.1:${line.port}"\n${service('client.services.files', 'local_addr', origin.filesPort)}${service('client.services.sink', 'local_addr', origin.sinkPort)}`,
  );
  const agent = bench.start(program('rathole'), ['--client', agentFile]);
  return { relay, agents: [agent], filesPort, sinkPort, line: line.program };
});

const chisel = tunnel('chisel', ['chisel'], async (bench, origin, oneWayMs) => {
  const [bindPort, filesPort, sinkPort] = [await freePort(), await freePort(), await freePort()];
  const relay = bench.start(program('chisel'), [
    'server',
    '--host',
    '127.0.0.1',
    '--port',
    String(bindPort),
    '--reverse',
  ]);
  await listening(bindPort);
  const line = await delayed(bench, bindPort, oneWayMs);
  const reverse = (remote: number, local: number): string => `R:127.0.0.1:${remote}:127.0.0.1:${local}`;
  const agent = bench.start(program('chisel'), [
    'client',
    `http://127.0.0.1:${line.port}`,
    reverse(filesPort, origin.filesPort),
    reverse(sinkPort, origin.sinkPort),
  ]);
  return { relay, agents: [agent], filesPort, sinkPort, line: line.program };
});

/** Its control port is fixed (7835), so a delay line cannot stand in front of it. */
const bore = tunnel('bore', ['bore'], async (bench, origin, oneWayMs) => {
  if (oneWayMs > 0) throw new Error('bore cannot be put behind a delay line');
  const relay = bench.start(program('bore'), ['server']);
  await listening(7835);
  const [filesPort, sinkPort] = [await freePort(), await freePort()];
  const local = (port: number, remote: number): RunningProgram =>
    bench.start(program('bore'), ['local', String(port), '--to', '127.0.0.1', '--port', String(remote)]);
  return {
    relay,
    agents: [local(origin.filesPort, filesPort), local(origin.sinkPort, sinkPort)],
    filesPort,
    sinkPort,
    line: undefined,
  };
});

export const otherTunnels: readonly Topology[] = [frp, rathole, bore, chisel];
