/** Porthole as its users start it: the relay's and the agent's programs, an open relay on loopback; plain, or all over TLS. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CertificateFiles } from '../certificate.ts';
import { delayed } from '../delayed.ts';
import { freePorts, listening, type RunningProgram, type Workbench } from '../processes.ts';
import type { Path, Topology } from './topology.ts';

const RELAY = fileURLToPath(new URL('../../packages/relay/bin/porthole-relay.mjs', import.meta.url));
const CLI = fileURLToPath(new URL('../../packages/cli/bin/porthole.mjs', import.meta.url));

export interface RunningRelay {
  readonly program: RunningProgram;
  readonly httpPort: number;
  readonly adminPort: number;
  /** Where visitors and agents go when there is a certificate. */
  readonly httpsPort: number | undefined;
}

export async function startRelay(bench: Workbench, certificate?: CertificateFiles): Promise<RunningRelay> {
  const [httpPort = 0, adminPort = 0, freeForHttps = 0] = await freePorts(3);
  const httpsPort = certificate === undefined ? undefined : freeForHttps;
  const folder = mkdtempSync(join(bench.folder, 'relay-'));
  const config = join(folder, 'relay.yml');
  // JSON is YAML. Everything is on loopback, so the relay may run open; one process, so that its memory can be read.
  const options = { open: true, log_level: 'warn', workers: 0, admin: `127.0.0.1:${adminPort}` };
  const secure = certificate && {
    https: `127.0.0.1:${httpsPort}`,
    tls: { certificates: [{ cert: certificate.chainFile, key: certificate.keyFile }] },
  };
  writeFileSync(config, JSON.stringify({ ...options, ...secure }));
  const http = `127.0.0.1:${httpPort}`;
  const args = ['serve', '--config', config, '--domain', 'localhost', '--http', http, '--data', join(folder, 'data')];
  const program = bench.startNode(RELAY, args);
  await Promise.race([listening(httpPort), program.line(/(?!)/)]);
  if (httpsPort !== undefined) await listening(httpsPort);
  return { program, httpPort, adminPort, httpsPort };
}

export async function startAgent(
  bench: Workbench,
  relayPort: number,
  target: number,
  name: string,
  certificate?: CertificateFiles,
): Promise<RunningProgram> {
  const relay = certificate === undefined ? `http://127.0.0.1:${relayPort}` : `https://localhost:${relayPort}`;
  const trust = certificate === undefined ? [] : ['--ca-file', certificate.caFile];
  const args = ['http', String(target), '--name', name, '--relay', relay, '--json', ...trust];
  const program = bench.startNode(CLI, args);
  await program.line(/"event":"tunnel"/);
  return program;
}

/** With a certificate: visitors and agents come over TLS. */
export function porthole(certificate?: CertificateFiles): Topology {
  return {
    name: 'porthole',
    isAvailable: () => true,
    async open(bench, origin, oneWayMs): Promise<Path> {
      const relay = await startRelay(bench, certificate);
      const port = relay.httpsPort ?? relay.httpPort;
      const line = await delayed(bench, port, oneWayMs);
      const files = await startAgent(bench, line.port, origin.filesPort, 'bench', certificate);
      const sink = await startAgent(bench, line.port, origin.sinkPort, 'sink', certificate);
      const isSecure = certificate !== undefined;
      return {
        files: { port, host: 'bench.localhost', isSecure },
        sink: { port, host: 'sink.localhost', isSecure },
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
}
