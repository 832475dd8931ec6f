import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { answersAndCloses, closesAtOnce, diesInBody, diesInChunks, refusingPort, speaks } from './bad-origin.ts';
import { installed, missing } from './debian.ts';
import { startOrigin } from './origin.ts';
import { commandLine, isRunning, openFiles, openSockets, residentBytes } from './process-usage.ts';
import { Program, runProgram } from './program.ts';
import { patternBody, patternSha256, patternSlice, seededRandom } from './random.ts';
import { plainAnswer, startRawOrigin } from './raw-origin.ts';
import { askOnce, connectVisitor, getRequest, postRequest, readAnswer } from './raw-visitor.ts';
import { until, within } from './until.ts';
import { connectWire } from './wire.ts';

describe('waiting', () => {
  it('returns what the condition gives, and names what it waited for when it is late', async () => {
    let count = 0;
    expect(await until('three', () => (++count === 3 ? 'yes' : undefined))).toBe('yes');
    await expect(until('never', () => 0, 20)).rejects.toThrow(/never: not within 20 ms; last seen: 0/);
    await expect(within('nothing', new Promise(() => undefined), 10)).rejects.toThrow(/nothing: not within 10 ms/);
  });
});

describe('test bodies', () => {
  it('are the same whatever the pieces, and no two blocks are equal', () => {
    const whole = patternSlice(0, 300_000);
    expect(Buffer.concat([...patternBody(300_000, 777)]).equals(whole)).toBe(true);
    expect(patternSlice(65_530, 20).equals(whole.subarray(65_530, 65_550))).toBe(true);
    expect(whole.subarray(0, 65_536).equals(whole.subarray(65_536, 131_072))).toBe(false);
    expect(patternSha256(300_000)).toBe(createHash('sha256').update(whole).digest('hex'));
  });

  it('come from seeds', () => {
    expect(seededRandom(1).bytes(16)).toEqual(seededRandom(1).bytes(16));
    expect(seededRandom(1).bytes(16)).not.toEqual(seededRandom(2).bytes(16));
  });
});

describe('the ordinary origin', () => {
  it('answers sizes, echoes, hashes and counts', async () => {
    await using origin = await startOrigin();
    const url = `http://127.0.0.1:${origin.port}`;
    const sized = await askOnce(url, getRequest(url, '/size/100000'));
    expect(sized.body.equals(patternSlice(0, 100_000))).toBe(true);
    expect((await askOnce(url, getRequest(url, '/size/1000?chunked'))).framing).toBe('chunked');
    expect((await askOnce(url, postRequest(url, '/echo', 'hello'))).body.toString()).toBe('hello');
    expect(JSON.parse((await askOnce(url, postRequest(url, '/hash', 'hello'))).body.toString())).toMatchObject({
      length: 5,
    });
    expect((await askOnce(url, getRequest(url, '/trailers'))).trailers).toBe('x-sum: 42\r\ngrpc-status: 0\r\n');
    expect(origin.seen).toContain('POST /echo');
  });

  it('echoes on a WebSocket and publishes events', async () => {
    await using origin = await startOrigin();
    const socket = new WebSocket(`ws://127.0.0.1:${origin.port}/ws`);
    const echoed = new Promise<string>((resolve) => socket.once('message', (data) => resolve(String(data))));
    socket.once('open', () => socket.send('hi'));
    expect(await echoed).toBe('hi');
    socket.terminate();
    await origin.whenever(() => origin.webSockets.size === 0);
    await using visitor = await connectVisitor(`http://127.0.0.1:${origin.port}`);
    await visitor.send(getRequest('http://x/', '/events'));
    await visitor.readUntil('\r\n\r\n');
    await origin.whenever(() => origin.eventStreams.size === 1);
    origin.publish('one');
    await visitor.readUntil('data: one\n\n');
  });

  it('listens on IPv6 and on socket files too', async () => {
    await using six = await startOrigin({ host: '::1' });
    expect(six.target).toBe(`[::1]:${six.port}`);
    await using file = await startOrigin({ unix: true });
    await using wire = await connectWire({ path: file.socketPath ?? '' });
    await wire.send(getRequest('http://x/', '/'));
    expect((await readAnswer(wire)).status).toBe(200);
  });
});

describe('origins that misbehave', () => {
  it('do so exactly', async () => {
    const cases = [
      { answer: diesInBody(10, 4), tail: '\r\n\r\nxxxx' },
      { answer: diesInChunks(['ab', 'c']), tail: '2\r\nab\r\n1\r\nc\r\n' },
      { answer: closesAtOnce, tail: '' },
      { answer: answersAndCloses('bye'), tail: '\r\n\r\nbye' },
      { answer: speaks('220 mail\r\n'), tail: '220 mail\r\n' },
    ];
    for (const { answer, tail } of cases) {
      await using origin = await startRawOrigin(answer);
      await using wire = await connectWire({ host: '127.0.0.1', port: origin.port });
      await wire.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      expect((await wire.readToEnd()).toString('latin1')).toSatisfy((text: string) => text.endsWith(tail));
    }
  });

  it('reset when they are to reset, and refuse when nobody listens', async () => {
    await using origin = await startRawOrigin(diesInBody(10, 4, 'reset'));
    await using wire = await connectWire({ host: '127.0.0.1', port: origin.port });
    await wire.send('GET / HTTP/1.1\r\n\r\n');
    await wire.untilClosed();
    expect(wire.wasReset).toBe(true);
    await expect(connectWire({ host: '127.0.0.1', port: await refusingPort() })).rejects.toThrow('ECONNREFUSED');
  });

  it('show each request of a kept connection to the test', async () => {
    await using origin = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer('a')));
    await using wire = await connectWire({ host: '127.0.0.1', port: origin.port });
    await wire.send('GET /1 HTTP/1.1\r\nX-A:  b \r\n\r\n');
    await readAnswer(wire);
    await wire.sendSplit('GET /2 HTTP/1.1\r\n\r\n', 3);
    await readAnswer(wire);
    const [first, second] = origin.requests;
    expect([first?.line, first?.index, second?.line, second?.index]).toEqual([
      'GET /1 HTTP/1.1',
      0,
      'GET /2 HTTP/1.1',
      1,
    ]);
    expect(first?.field('x-a')).toBe('b');
  });
});

describe('raw sockets', () => {
  it('say what they waited for when the other side leaves', async () => {
    await using origin = await startRawOrigin(speaks('half'));
    await using wire = await connectWire({ host: '127.0.0.1', port: origin.port });
    await wire.send('x\r\n\r\n');
    const failed = wire.readUntil('whole', 5_000);
    await wire.untilEnded();
    await wire.close();
    await expect(failed).rejects.toThrow(/waited for bytes up to "whole".*half/s);
  });
});

describe('programs', () => {
  const node = (code: string, extra: Partial<ConstructorParameters<typeof Program>[0]> = {}) => ({
    name: 'sample',
    command: process.execPath,
    args: ['-e', code],
    ...extra,
  });

  it('are listened to line by line, measured, frozen, thawed and stopped', async () => {
    const program = new Program(node('console.log("ready 7"); setInterval(() => console.error("tick"), 5)'));
    expect(await program.waitForLine('readiness', (line) => /^ready (\d)/.exec(line)?.[1])).toBe('7');
    expect(residentBytes(program.pid)).toBeGreaterThan(1024 * 1024);
    expect(openFiles(program.pid)).toBeGreaterThan(2);
    expect(openSockets(program.pid)).toBeGreaterThanOrEqual(0);
    expect(commandLine(program.pid)).toContain('ready 7');
    program.freeze();
    program.thaw();
    await until('ticks', () => program.errorLines.length > 3);
    await program.close();
    expect(program.exit).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('fail the test when they have to be killed', async () => {
    const program = new Program(
      node('process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)', { stopWithinMs: 100 }),
    );
    await program.waitForLine('up', (line) => line === 'up' || undefined);
    await expect(program.close()).rejects.toThrow(/did not stop within 100 ms/);
  });

  it('fail the test when they leave a child behind', async () => {
    const child =
      'require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore", detached: true }).unref()';
    const program = new Program(node(`${child}; console.log("up"); setInterval(() => {}, 1000)`));
    await program.waitForLine('up', (line) => line === 'up' || undefined);
    await expect(program.close()).rejects.toThrow(/left 1 process\(es\) behind/);
  });

  it('end with a test runner that is killed', async () => {
    const here = fileURLToPath(new URL('program.ts', import.meta.url));
    const child = `{ name: 'child', command: process.execPath, args: ['-e', 'console.log(1); setInterval(() => {}, 1000)'] }`;
    const code = `import { Program } from ${JSON.stringify(here)};
      const program = new Program(${child});
      await program.waitForLine('up', (line) => line);
      console.log('child', program.pid);
      setInterval(() => {}, 1000);`;
    const runner = new Program(node('', { args: ['--input-type=module', '-e', code] }));
    const pid = Number(await runner.waitForLine('the child', (line) => /^child (\d+)/.exec(line)?.[1]));
    expect(isRunning(pid)).toBe(true);
    await runner.kill();
    await until('the child is gone', () => !isRunning(pid));
    await runner.close();
  });

  it('fail the wait when they end first, with what they said', async () => {
    const program = new Program(node('console.error("no such thing"); process.exit(3)'));
    await expect(program.waitForLine('readiness', () => undefined)).rejects.toThrow(/"code":3.*no such thing/s);
    await program.close();
  });

  it('run to their end with input', async () => {
    const result = await runProgram({ ...node('process.stdin.pipe(process.stdout)'), input: 'through' });
    expect(result).toMatchObject({ code: 0, stdout: 'through' });
  });

  it('are looked for where Debian puts them', () => {
    expect(installed('sh')).toMatch(/\/sh$/);
    expect(missing('surely-no-such-program')).toBe(true);
  });
});
