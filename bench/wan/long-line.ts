/**
 * A long line on one machine: two network namespaces joined by `tundelay`, so that real TCP runs over it. Needs root,
 * /dev/net/tun, iproute2 and a C compiler.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Program, type ProgramOptions } from '../../test/harness/program.ts';

export interface LineShape {
  readonly oneWayMs: number;
  readonly mbit: number;
  /** What the router in the middle holds before it drops. */
  readonly queueBytes: number;
}

export type End = 'agent' | 'relay';

/** Address of each end, as the other sees it. */
export const ADDRESS: Readonly<Record<End, string>> = { agent: '10.9.0.1', relay: '10.9.0.2' };
const MTU = '1500';

export class LongLine {
  readonly #folder: string;
  readonly #line: Program;
  readonly #namespaces: Readonly<Record<End, string>>;

  private constructor(folder: string, line: Program, namespaces: Readonly<Record<End, string>>) {
    this.#folder = folder;
    this.#line = line;
    this.#namespaces = namespaces;
  }

  /** Why there cannot be one here; undefined when there can. */
  static obstacle(): string | undefined {
    if (process.getuid?.() !== 0) return 'network namespaces need root';
    try {
      accessSync('/dev/net/tun', constants.W_OK);
    } catch {
      return '/dev/net/tun is not there';
    }
    for (const program of ['ip', 'cc'])
      if (spawnSync(program, ['-V']).error !== undefined) return `${program} is not installed`;
    return undefined;
  }

  static async start(shape: LineShape): Promise<LongLine> {
    const folder = mkdtempSync(join(tmpdir(), 'porthole-line-'));
    const binary = join(folder, 'tundelay');
    execFileSync('cc', ['-O2', '-o', binary, fileURLToPath(new URL('tundelay.c', import.meta.url))]);
    const namespaces = { agent: `ph-a-${process.pid}`, relay: `ph-r-${process.pid}` };
    for (const name of Object.values(namespaces)) {
      ip('netns', 'add', name);
      // Visitors of the loopback device with packets of 64 KiB would have megabytes each in the kernel, as none has outside.
      ip('-n', name, 'link', 'set', 'lo', 'mtu', MTU, 'up');
    }
    const args = [namespaces.agent, namespaces.relay, shape.oneWayMs, shape.mbit, shape.queueBytes].map(String);
    const line = new Program({ name: 'tundelay', command: binary, args });
    await line.waitForLine('the line is ready', (text) => text === 'line ready' || undefined);
    for (const end of ['agent', 'relay'] as const) {
      ip('-n', namespaces[end], 'addr', 'add', `${ADDRESS[end]}/30`, 'dev', 'wan0');
      ip('-n', namespaces[end], 'link', 'set', 'wan0', 'mtu', MTU, 'txqueuelen', '10000', 'up');
    }
    // As deploy/sysctl.conf has it. Without it the kernel keeps megabytes for each visitor who does not read.
    ip('netns', 'exec', namespaces.relay, 'sysctl', '-qw', 'net.ipv4.tcp_notsent_lowat=131072');
    return new LongLine(folder, line, namespaces);
  }

  /** A program at one end of the line. */
  run(end: End, options: ProgramOptions): Program {
    return new Program({
      ...options,
      command: 'ip',
      args: ['netns', 'exec', this.#namespaces[end], options.command, ...options.args],
    });
  }

  async close(): Promise<void> {
    await this.#line.close();
    for (const name of Object.values(this.#namespaces)) ip('netns', 'del', name);
    rmSync(this.#folder, { recursive: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args);
}
