/** Redis and PostgreSQL through TCP tunnels, with their own tools. `npm run soak -- databases` cuts the carrier fifty times. */
import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { type CarrierCutter, startCarrierCutter } from '../harness/carrier-cutter.ts';
import { installed, missing } from '../harness/debian.ts';
import { freePortRange } from '../harness/free-ports.ts';
import { giveFolder, notAsRoot } from '../harness/other-user.ts';
import { Program, runProgram } from '../harness/program.ts';
import { type Redis, startRedis } from '../harness/redis.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { scaled } from '../harness/scale.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';
import { until } from '../harness/until.ts';

/** A tunnel to a local port: relay, agent, public port, and the line between relay and agent. */
interface Passage {
  readonly port: number;
  readonly cutter: CarrierCutter;
  close(): Promise<void>;
}

const TEST_MS = scaled(60_000, 600_000);
const CUTS = scaled(4, 50);
/** Of each of ten visitors; each transaction is a thousand bytes on the carrier and more. */
const TRANSACTIONS = scaled(50, 2_000);

async function passageTo(target: number): Promise<Passage> {
  const relay: RelayUnderTest = await startRelay({ tcpPorts: 1 });
  const token = await relay.addToken('ada', ['--ports', `${relay.ports?.first}-${relay.ports?.last}`]);
  const cutter = await startCarrierCutter({ port: () => relay.port });
  const agent: AgentUnderTest = await startAgent({ relayUrl: cutter.url, token, kind: 'tcp', target });
  return {
    port: Number(new URL(await agent.url()).port),
    cutter,
    close: async () => {
      await agent.close();
      await cutter.close();
      await relay.close();
    },
  };
}

async function run(
  name: string,
  args: string[],
  more: { env?: Record<string, string>; input?: string } = {},
): Promise<string> {
  const result = await runProgram({ name, command: installed(name) ?? name, args, deadlineMs: TEST_MS, ...more });
  if (result.code !== 0)
    throw new Error(`${name} ${args.join(' ')}: ${result.code}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}

describe.skipIf(missing('redis-server', 'redis-cli', 'redis-benchmark'))('Redis', () => {
  let redis: Redis;
  let passage: Passage;

  beforeAll(async () => {
    redis = await startRedis();
    passage = await passageTo(redis.port);
  });
  afterAll(async () => {
    await passage?.close();
    await redis?.close();
  });

  it('answers redis-cli, pipes and subscriptions', async () => {
    const cli = (...args: string[]): Promise<string> =>
      run('redis-cli', ['-h', '127.0.0.1', '-p', String(passage.port), ...args]);
    expect(await cli('SET', 'name', 'ä value')).toBe('OK');
    expect(await cli('--raw', 'GET', 'name')).toBe('ä value');
    const commands = Array.from({ length: 5000 }, (_unused, i) => `SET key:${i} ${'v'.repeat(1 + (i % 500))}\r\n`).join(
      '',
    );
    const said = await run('redis-cli', ['-h', '127.0.0.1', '-p', String(passage.port), '--pipe'], { input: commands });
    expect(said).toContain('errors: 0, replies: 5000');
  });

  it('stands redis-benchmark, pipelined, with 50 connections', async () => {
    const said = await run('redis-benchmark', [
      '-h',
      '127.0.0.1',
      '-p',
      String(passage.port),
      '-c',
      '50',
      '-n',
      '20000',
      '-P',
      '8',
      '-d',
      '512',
      '-t',
      'set,get,lrange_100',
      '--csv',
      '-q',
    ]);
    expect(said.split('\n').filter((line) => /^"(SET|GET|LRANGE)/.test(line)).length).toBeGreaterThanOrEqual(3);
    expect(said).not.toMatch(/error/i);
  });
});

describe.skipIf(missing('postgres', 'initdb', 'psql', 'pgbench'))('PostgreSQL', () => {
  let postgres: Program;
  let folder: TempFolder;
  let passage: Passage;
  beforeAll(async () => {
    folder = tempFolder();
    const data = `${folder.path}/data`;
    mkdirSync(data);
    giveFolder(folder.path, ['postgres', 'nobody']);
    const made = await runProgram({
      name: 'initdb',
      ...notAsRoot(['postgres', 'nobody'], 'initdb', [
        '-D',
        data,
        '-U',
        'test',
        '--auth=trust',
        '--no-sync',
        '-E',
        'UTF8',
      ]),
      cwd: folder.path,
      deadlineMs: 60_000,
    });
    if (made.code !== 0) throw new Error(made.stderr);
    const { first } = await freePortRange(1);
    postgres = new Program({
      name: 'postgres',
      ...notAsRoot(['postgres', 'nobody'], 'postgres', [
        '-D',
        data,
        '-p',
        String(first),
        '-k',
        folder.path,
        '-c',
        'listen_addresses=127.0.0.1',
        '-c',
        'fsync=off',
      ]),
      cwd: folder.path,
      stopSignal: 'SIGINT',
    });
    await postgres.waitForLine(
      'postgres is ready',
      (line) => (/ready to accept connections/.test(line) ? true : undefined),
      30_000,
    );
    passage = await passageTo(first);
  }, 120_000);
  afterAll(async () => {
    await passage?.close();
    await postgres?.close();
    folder?.remove();
  });

  const where = (): string[] => ['-h', '127.0.0.1', '-p', String(passage.port), '-U', 'test'];

  const psql = (sql: string, input?: string): Promise<string> =>
    run(
      'psql',
      [...where(), '-d', 'postgres', '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-c', sql],
      input === undefined ? {} : { input },
    );

  it('answers psql, large results and COPY both ways', async () => {
    expect(await psql('select sum(i) from generate_series(1, 1000) i')).toBe('500500');
    const large = await psql(
      `select md5(string_agg(x, '')) from (select repeat('x', 1000) x from generate_series(1, 5000)) t`,
    );
    expect(large).toMatch(/^[0-9a-f]{32}$/);
    expect((await psql("select repeat('y', 200000) from generate_series(1, 20)")).length).toBe(20 * 200_001 - 1);
    await psql('create table t (a int, b text)');
    const rows = Array.from({ length: 20_000 }, (_unused, i) => `${i}\trow ${i}`).join('\n');
    await psql('copy t from stdin', `${rows}\n`);
    expect(await psql('select count(*), max(a) from t')).toBe('20000|19999');
  });

  it(
    'stands pgbench with 10 connections, no transaction lost or done twice while the carrier is cut',
    async () => {
      await run('pgbench', [...where(), '-i', '-s', '1', '-q', 'postgres']);
      const before = passage.cutter.cuts;
      const total = 10 * TRANSACTIONS;
      const share = (total * 1_000) / CUTS;
      const cuts = passage.cutter.cutAtRandom({ seed: 13, times: CUTS, bytesBetween: [share / 8, share] });
      const said = await run('pgbench', [...where(), '-c', '10', '-j', '1', '-t', String(TRANSACTIONS), 'postgres']);
      expect(said).toContain(`number of transactions actually processed: ${total}/${total}`);
      await cuts;
      expect(passage.cutter.cuts - before).toBe(CUTS);
      const sums = [
        'abalance) from pgbench_accounts',
        'bbalance) from pgbench_branches',
        'tbalance) from pgbench_tellers',
      ];
      const delta = await psql('select sum(delta) from pgbench_history');
      for (const sum of sums) expect(await psql(`select sum(${sum}`)).toBe(delta);
      expect(await psql('select count(*) from pgbench_history')).toBe(String(total));
      await until('the server has let them go', () => postgres.exit === undefined);
    },
    TEST_MS,
  );
});
