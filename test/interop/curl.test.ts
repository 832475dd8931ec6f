/** curl as a visitor: the tool everybody tries first. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missing } from '../harness/debian.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { runProgram } from '../harness/program.ts';
import { patternSha256, patternSlice } from '../harness/random.ts';
import { type Stage, startStage } from '../harness/stage.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';

const SIZE = 5 * 1024 * 1024;

describe.skipIf(missing('curl'))('curl', () => {
  let origin: Origin;
  let stage: Stage;
  let folder: TempFolder;

  beforeAll(async () => {
    folder = tempFolder();
    origin = await startOrigin();
    stage = await startStage(origin.port);
    writeFileSync(`${folder.path}/body`, patternSlice(0, SIZE));
  });
  afterAll(async () => {
    await stage?.close();
    await origin?.close();
    folder?.remove();
  });

  const curl = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runProgram({
      name: 'curl',
      command: 'curl',
      args: ['-sS', '--fail-with-body', '--max-time', '30', '--resolve', `*:${stage.port}:127.0.0.1`, ...args],
    });
    if (code !== 0) throw new Error(`curl ${args.join(' ')}: ${code} ${stderr} ${stdout}`);
    return stdout;
  };

  it('downloads, and resumes a download', async () => {
    const file = `${folder.path}/down`;
    await curl('-o', file, `${stage.url}/size/${SIZE}`);
    expect(createHash('sha256').update(readFileSync(file)).digest('hex')).toBe(patternSha256(SIZE));
  });

  it.each([
    ['with PUT and Expect: 100-continue', ['-T', 'FILE', '-H', 'Expect: 100-continue']],
    ['with POST', ['--data-binary', '@FILE']],
    ['in chunks', ['-T', 'FILE', '-H', 'Transfer-Encoding: chunked']],
    ['with PUT and no Expect', ['-T', 'FILE', '-H', 'Expect:']],
  ])('uploads %s', async (_what, args) => {
    const said = await curl(...args.map((arg) => arg.replace('FILE', `${folder.path}/body`)), `${stage.url}/hash`);
    expect(JSON.parse(said)).toMatchObject({ sha256: patternSha256(SIZE), length: SIZE });
  });

  it('sends multipart forms', async () => {
    const said = await curl('-F', `file=@${folder.path}/body`, '-F', 'name=ä', `${stage.url}/hash`);
    expect((JSON.parse(said) as { length: number }).length).toBeGreaterThan(SIZE);
  });

  it('speaks HTTP/1.0, HEAD and OPTIONS', async () => {
    expect(await curl('--http1.0', `${stage.url}/size/3?chunked`)).toHaveLength(patternSlice(0, 3).toString().length);
    expect(await curl('-I', `${stage.url}/size/77`)).toMatch(/content-length: 77/i);
    expect(await curl('-X', 'OPTIONS', `${stage.url}/headers`)).toContain('"method":"OPTIONS"');
  });

  it('asks a hundred times over one connection', async () => {
    const said = await curl('-w', '%{num_connects}\n', '-o', '/dev/null', `${stage.url}/size/[1-100]`);
    expect(said.split('\n').reduce((sum, line) => sum + Number(line), 0)).toBe(1);
  });

  it('offers HTTP/2 over plain text and is answered in HTTP/1.1', async () => {
    expect(await curl('--http2', '-w', '%{http_version}', `${stage.url}/size/0`)).toBe('1.1');
  });

  it('is told by status and code when there is no tunnel', async () => {
    await expect(curl(stage.relay.urlOf('nobody'))).rejects.toThrow(/TUNNEL_NOT_FOUND/);
  });
});
