/**
 * `npm run soak -- thin-line`: one download, small messages beside bulk, and stalled readers, over lines that are long or
 * thin, with real TCP. Prints a table with the targets; exit code 1 when one is missed.
 */
import { fileURLToPath } from 'node:url';
import { residentBytes } from '../../test/harness/process-usage.ts';
import type { Program } from '../../test/harness/program.ts';
import { RelayUnderTest } from '../../test/harness/relay.ts';
import { agentArguments, agentEnvironment } from '../../test/harness/agent.ts';
import { ADDRESS, type End, type LineShape, LongLine } from './long-line.ts';

const MIB = 1024 * 1024;
const SOURCE = '--conditions=@porthole/source';
const SECONDS = 8;
const STALLED = 200;

const LINES: Readonly<Record<string, LineShape>> = {
  '100 ms x 1 Gbit/s': { oneWayMs: 50, mbit: 1_000, queueBytes: 12_500_000 },
  '60 ms x 20 Mbit/s': { oneWayMs: 30, mbit: 20, queueBytes: 300_000 },
};

interface Row {
  readonly line: string;
  readonly what: string;
  readonly value: string;
  readonly target: string;
  readonly met: boolean;
}

/** Relay and visitors at one end, agent and origin at the other. */
class Scene {
  readonly #line: LongLine;
  readonly #programs: Program[] = [];
  #ports = { http: 0, plain: 0 };
  relay!: Program;
  agent!: Program;
  #relayPort = 0;
  #folder: RelayUnderTest;

  constructor(line: LongLine) {
    this.#line = line;
    this.#folder = new RelayUnderTest({});
  }

  async start(): Promise<this> {
    const origin = this.#node('agent', 'origin', [fileURLToPath(new URL('origin-main.ts', import.meta.url))]);
    this.#ports = await origin.waitForLine('ports', (text) => JSON.parse(text) as { http: number; plain: number });
    const token = await this.#folder.addToken('bench');
    const bin = fileURLToPath(new URL('../../packages/relay/bin/porthole-relay.mjs', import.meta.url));
    const data = ['--data', this.#folder.dataFolder];
    this.relay = this.#node('relay', 'relay', [
      bin,
      'serve',
      '--http',
      `0.0.0.0:0`,
      '--domain',
      'localhost',
      '--admin',
      'off',
      '--workers',
      '0',
      ...data,
    ]);
    this.#relayPort = await this.relay.waitForLine(
      'listening',
      (text) => Number(/"http":"[^"]*:(\d+)"/.exec(text)?.[1] ?? Number.NaN) || undefined,
    );
    const options = {
      relayUrl: `http://${ADDRESS.relay}:${this.#relayPort}`,
      target: this.#ports.http,
      name: 'wan',
      token,
    };
    this.agent = this.#line.run('agent', {
      name: 'agent',
      command: process.execPath,
      args: agentArguments(options),
      env: agentEnvironment(options, this.#folder.folder.path),
    });
    this.#programs.push(this.agent);
    await this.agent.waitForLine('the tunnel', (text) => text.includes('"event":"tunnel"') || undefined);
    return this;
  }

  /** Mbit/s over the tunnel, or over a plain TCP connection to the origin. */
  async rate(how: 'tunnel' | 'plain', stalled = 0): Promise<number> {
    const [host, port, name] =
      how === 'tunnel' ? ['127.0.0.1', this.#relayPort, 'wan.localhost'] : [ADDRESS.agent, this.#ports.plain, '-'];
    return (await this.#visit('rate', host, port, name, SECONDS, stalled))['mbit'] ?? Number.NaN;
  }

  async echo(beside: 'idle' | 'down' | 'up'): Promise<{ median: number; p95: number }> {
    const { median = Number.NaN, p95 = Number.NaN } = await this.#visit(
      'echo',
      '127.0.0.1',
      this.#relayPort,
      'wan.localhost',
      SECONDS,
      beside,
    );
    return { median, p95 };
  }

  async close(): Promise<void> {
    for (const program of this.#programs.toReversed()) await program.close();
    this.#folder.folder.remove();
  }

  async #visit(...args: readonly (string | number)[]): Promise<Record<string, number>> {
    const visitor = this.#node('relay', 'visitor', [
      fileURLToPath(new URL('visitor-main.ts', import.meta.url)),
      ...args.map(String),
    ]);
    return await visitor.waitForLine('a figure', (text) => JSON.parse(text) as Record<string, number>, 180_000);
  }

  #node(end: End, name: string, args: readonly string[]): Program {
    const program = this.#line.run(end, { name, command: process.execPath, args: [SOURCE, ...args] });
    this.#programs.push(program);
    return program;
  }
}

async function measure(name: string, shape: LineShape): Promise<Row[]> {
  await using line = await LongLine.start(shape);
  const scene = await new Scene(line).start();
  const rows: Row[] = [];
  const row = (what: string, value: string, target: string, met: boolean): void => {
    rows.push({ line: name, what, value, target, met });
    process.stdout.write(
      `${met ? '      ' : 'MISSED'} ${name.padEnd(20)} ${what.padEnd(52)} ${value.padEnd(28)} ${target}\n`,
    );
  };
  const shown = (mbit: number): string => `${mbit.toFixed(1)} Mbit/s`;
  try {
    const plain = await scene.rate('plain');
    const tunnel = await scene.rate('tunnel');
    row('one plain TCP connection', shown(plain), '', true);
    row(
      'one download over one lane',
      `${shown(tunnel)}, ${Math.round((100 * tunnel) / plain)} %`,
      'at least 80 %',
      tunnel >= 0.8 * plain,
    );
    for (const beside of ['idle', 'down', 'up'] as const) {
      const { median, p95 } = await scene.echo(beside);
      const limit = shape.mbit <= 20 ? 'under 200 ms' : '';
      row(
        `64-byte message there and back, ${beside === 'idle' ? 'alone' : `beside a bulk ${beside}load`}`,
        `${median.toFixed(0)} ms, p95 ${p95.toFixed(0)} ms`,
        limit,
        limit === '' || median < 200,
      );
    }
    const before = residentBytes(scene.relay.pid) / MIB;
    const beside = await scene.rate('tunnel', STALLED);
    const after = residentBytes(scene.relay.pid) / MIB;
    row(
      `one download beside ${STALLED} stalled readers`,
      `${shown(beside)}, ${Math.round((100 * beside) / tunnel)} %`,
      'at least 90 % of alone',
      beside >= 0.9 * tunnel,
    );
    row(
      'what they cost the relay',
      `${Math.round(before)} to ${Math.round(after)} MiB`,
      'less than 100 MiB',
      after - before < 100,
    );
  } finally {
    await scene.close();
  }
  return rows;
}

export async function thinLine(): Promise<number> {
  const obstacle = LongLine.obstacle();
  if (obstacle !== undefined) {
    process.stderr.write(`SKIPPED: no long line here: ${obstacle}\n`);
    return 0;
  }
  const rows: Row[] = [];
  for (const [name, shape] of Object.entries(LINES)) rows.push(...(await measure(name, shape)));
  return rows.every(({ met }) => met) ? 0 : 1;
}
