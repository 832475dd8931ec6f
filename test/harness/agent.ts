/** A real agent process: `porthole http|tcp|… --json`, whose events the test waits for. */
import { fileURLToPath } from 'node:url';
import { Program, runProgram } from './program.ts';
import { FROM_SOURCE } from './relay.ts';
import { type TempFolder, tempFolder } from './temp-folder.ts';

const CLOCK_JUMP = fileURLToPath(new URL('clock-jump.mjs', import.meta.url));
const BIN = fileURLToPath(new URL('../../packages/cli/bin/porthole.mjs', import.meta.url));

export interface AgentOptions {
  /** Where to dial: the relay's URL, or a carrier cutter's. */
  readonly relayUrl: string;
  /** Default http. */
  readonly kind?: 'http' | 'tcp' | 'tls' | 'serve' | 'start';
  readonly target?: string | number;
  readonly name?: string;
  readonly token?: string;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  readonly stdout?: 'pipe' | 'unread';
  readonly stopWithinMs?: number;
  /** Its clock can be made to jump. Default false. */
  readonly jumpyClock?: boolean;
}

export interface TunnelEvent {
  readonly event: string;
  readonly name?: string;
  readonly protocol?: string;
  readonly url?: string;
  readonly target?: string;
  readonly code?: string;
  readonly [key: string]: unknown;
}

export interface AgentStatus {
  readonly pid: number;
  readonly state: string;
  readonly tunnels: readonly { readonly state: string; readonly url?: string }[];
}

export class AgentUnderTest {
  readonly program: Program;
  readonly folder: TempFolder;

  constructor(options: AgentOptions) {
    this.folder = tempFolder();
    this.program = new Program({
      name: 'agent',
      command: process.execPath,
      args: agentArguments(options),
      cwd: this.folder.path,
      env: agentEnvironment(options, this.folder.path),
      stdout: options.stdout ?? 'pipe',
      stopWithinMs: options.stopWithinMs ?? 10_000,
    });
  }

  get pid(): number {
    return this.program.pid;
  }

  get events(): TunnelEvent[] {
    return this.program.lines.flatMap((line) => eventOf(line) ?? []);
  }

  /** The first event of this kind, past or to come, for which `pick` says yes. */
  event(kind: string, pick: (event: TunnelEvent) => boolean = () => true, deadlineMs?: number): Promise<TunnelEvent> {
    return this.program.waitForLine(`event ${kind}`, (line) => matching(line, kind, pick), deadlineMs);
  }

  /** Resolves when there have been `count` events of this kind in all. */
  async untilEvents(kind: string, count: number, deadlineMs?: number): Promise<void> {
    let seen = 0;
    await this.program.waitForLine(
      `${count} events ${kind}`,
      (line) => (matching(line, kind, () => true) !== undefined && ++seen === count ? true : undefined),
      deadlineMs,
    );
  }

  /** The wall clock of the process is an hour ahead from now on, as after a sleep. Needs `jumpyClock`. */
  jumpClock(): void {
    this.program.signal('SIGUSR2');
  }

  /** How many events of this kind there have been so far. */
  countEvents(kind: string): number {
    return this.events.filter((event) => event.event === kind).length;
  }

  /** What `porthole status --json` says about this agent; undefined when it is not among them. */
  async status(): Promise<AgentStatus | undefined> {
    const args = [FROM_SOURCE, BIN, 'status', '--json'];
    const env = agentEnvironment({ relayUrl: '' }, this.folder.path);
    const said = await runProgram({ name: 'porthole status', command: process.execPath, args, env });
    return (JSON.parse(said.stdout) as { agents: AgentStatus[] }).agents.find((agent) => agent.pid === this.pid);
  }

  /** The public URL, once the tunnel stands. */
  async url(deadlineMs?: number): Promise<string> {
    const { url } = await this.event('tunnel', () => true, deadlineMs);
    if (url === undefined) throw new Error('the tunnel event has no url');
    return url;
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
}

/** The command line of an agent, `process.execPath` left out. */
export function agentArguments(options: AgentOptions): string[] {
  const clock = options.jumpyClock === true ? ['--import', CLOCK_JUMP] : [];
  const args = [...clock, FROM_SOURCE, BIN, options.kind ?? 'http'];
  if (options.target !== undefined) args.push(String(options.target));
  if (options.name !== undefined) args.push('--name', options.name);
  return [...args, '--relay', options.relayUrl, '--json', ...(options.args ?? [])];
}

/** A home of its own, so that nobody's saved login takes part. */
export function agentEnvironment(options: AgentOptions, home: string): Record<string, string> {
  return {
    HOME: home,
    XDG_CONFIG_HOME: `${home}/.config`,
    ...(options.token === undefined ? {} : { PORTHOLE_TOKEN: options.token }),
    ...options.env,
  };
}

/** Runs any command of the CLI to its end. */
export const CLI = { command: process.execPath, args: [FROM_SOURCE, BIN] } as const;

/** An agent that may still be dialing. */
export function launchAgent(options: AgentOptions): AgentUnderTest {
  return new AgentUnderTest(options);
}

/** An agent whose tunnel stands. */
export async function startAgent(options: AgentOptions): Promise<AgentUnderTest> {
  const agent = new AgentUnderTest(options);
  try {
    await agent.url();
  } catch (error) {
    await agent.program.kill();
    await agent.close();
    throw error;
  }
  return agent;
}

function eventOf(line: string): TunnelEvent | undefined {
  if (!line.startsWith('{')) return undefined;
  const value = JSON.parse(line) as TunnelEvent;
  return typeof value.event === 'string' ? value : undefined;
}

function matching(line: string, kind: string, pick: (event: TunnelEvent) => boolean): TunnelEvent | undefined {
  const event = eventOf(line);
  return event !== undefined && event.event === kind && pick(event) ? event : undefined;
}
