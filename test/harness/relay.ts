/** A real relay process: configured, started on port 0, spoken to, stopped or killed, started again on the same port and data. */
import { fileURLToPath } from 'node:url';
import { freePortRange } from './free-ports.ts';
import { Program, runProgram } from './program.ts';
import { type TempFolder, tempFolder } from './temp-folder.ts';

const BIN = fileURLToPath(new URL('../../packages/relay/bin/porthole-relay.mjs', import.meta.url));
export const FROM_SOURCE = '--conditions=@porthole/source';

export interface RelayOptions {
  /** Default `localhost`: public names are `<name>.localhost`. */
  readonly domain?: string;
  /** Further configuration, merged over the harness's own (nested objects too). */
  readonly config?: Record<string, unknown>;
  /** Size of the range for TCP tunnels. Default 0: none. */
  readonly tcpPorts?: number;
  readonly env?: Record<string, string>;
  readonly stopWithinMs?: number;
}

interface Bound {
  readonly port: number;
  readonly httpsPort: number | undefined;
  readonly adminPort: number | undefined;
}

export class RelayUnderTest {
  readonly folder: TempFolder;
  readonly domain: string;
  /** The range of the TCP door. */
  ports: { readonly first: number; readonly last: number } | undefined;
  program!: Program;
  /** The public port, for visitors and agents alike. */
  port = 0;
  adminPort: number | undefined;
  /** The public port with TLS, if there is one. */
  httpsPort: number | undefined;
  #options: RelayOptions;
  #configFile = '';

  constructor(options: RelayOptions) {
    this.#options = options;
    this.folder = tempFolder();
    this.domain = options.domain ?? 'localhost';
  }

  async start(): Promise<this> {
    if (this.#configFile === '') await this.#configure();
    this.program = new Program({
      name: 'relay',
      command: process.execPath,
      args: [
        FROM_SOURCE,
        BIN,
        'serve',
        '--config',
        this.#configFile,
        '--domain',
        this.domain,
        '--http',
        `127.0.0.1:${this.port}`,
        // The same port after a restart.
        ...(this.httpsPort === undefined ? [] : ['--https', `127.0.0.1:${this.httpsPort}`]),
        '--data',
        this.dataFolder,
      ],
      ...(this.#options.env === undefined ? {} : { env: this.#options.env }),
      stopWithinMs: this.#options.stopWithinMs ?? 10_000,
    });
    const bound = await this.program.waitForLine('the relay listens', boundAddresses);
    this.port = bound.port;
    this.adminPort = bound.adminPort;
    this.httpsPort = bound.httpsPort;
    return this;
  }

  get dataFolder(): string {
    return `${this.folder.path}/data`;
  }

  get pid(): number {
    return this.program.pid;
  }

  /** What an agent is told. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What an agent is told when it is to come over TLS. */
  get secureUrl(): string {
    return `https://localhost:${this.httpsPort}`;
  }

  /** The public URL of a name. */
  urlOf(name: string): string {
    return `http://${name}.${this.domain}:${this.port}`;
  }

  /** Host and port a visitor writes into `Host`. */
  hostOf(name: string): string {
    return `${name}.${this.domain}:${this.port}`;
  }

  /** `porthole-relay token add`: the token, alone on standard output. */
  async addToken(user: string, scope: readonly string[] = []): Promise<string> {
    return (await this.command('token', 'add', user, ...scope)).trim();
  }

  /** Runs a command of `porthole-relay` on this relay's data; fails when it does. */
  async command(...args: string[]): Promise<string> {
    if (this.#configFile === '') await this.#configure();
    const result = await this.tryCommand(...args);
    if (result.code !== 0)
      throw new Error(`porthole-relay ${args.join(' ')}: ${result.code}\n${result.stdout}\n${result.stderr}`);
    return result.stdout;
  }

  async tryCommand(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    return await runProgram({
      name: 'porthole-relay',
      command: process.execPath,
      args: [FROM_SOURCE, BIN, ...args, '--config', this.#configFile, '--data', this.dataFolder],
    });
  }

  /** One metric of `/metrics`, summed over its labels; undefined when it is not there. */
  async metric(name: string): Promise<number | undefined> {
    const text = await this.admin('/metrics');
    const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    if (lines.length === 0) return undefined;
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  async admin(path: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}${path}`);
    return await response.text();
  }

  /** Stops in its own way and starts again on the same port and data. */
  async restart(): Promise<void> {
    await this.program.close();
    await this.start();
  }

  async killAndRestart(): Promise<void> {
    await this.program.kill();
    await this.start();
  }

  async close(): Promise<void> {
    try {
      await this.program.close();
    } finally {
      this.folder.remove();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #configure(): Promise<void> {
    const count = this.#options.tcpPorts ?? 0;
    if (count > 0) this.ports = await freePortRange(count);
    const own: Record<string, unknown> = {
      admin: '127.0.0.1:0',
      // What is not about workers is tested without them: one process starts sooner, and a signal meets the relay itself.
      workers: Number(process.env['PORTHOLE_TEST_WORKERS'] ?? 0),
      ...(this.ports === undefined ? {} : { tcp: { ports: `${this.ports.first}-${this.ports.last}` } }),
    };
    // JSON is YAML.
    this.#configFile = this.folder.write('relay.yml', JSON.stringify(merged(own, this.#options.config ?? {})));
  }
}

/** Reads the addresses from the relay's structured log. */
function boundAddresses(line: string): Bound | undefined {
  if (!line.startsWith('{')) return undefined;
  const event = JSON.parse(line) as Record<string, unknown>;
  const http = event['http'];
  if (typeof http !== 'string') return undefined;
  const https = typeof event['https'] === 'string' ? portOf(event['https']) : undefined;
  return {
    port: portOf(http),
    httpsPort: https,
    adminPort: typeof event['admin'] === 'string' ? portOf(event['admin']) : undefined,
  };
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1).replace(/\D.*$/, ''));
}

function merged(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const out = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = out[key];
    out[key] = isRecord(old) && isRecord(value) ? merged(old, value) : value;
  }
  return out;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function startRelay(options: RelayOptions = {}): Promise<RelayUnderTest> {
  return new RelayUnderTest(options).start();
}
