/**
 * `npm start`: relay, sample service and agent in this process, on this machine only. Prints the public URL and the line
 * for a second terminal; Ctrl-C ends all of it cleanly.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expose, PortholeError, type Tunnel } from '@porthole/agent';
import { loadConfig } from '../packages/relay/src/config/load-config.ts';
import { Relay } from '../packages/relay/src/relay.ts';
import { PidFile } from '../packages/relay/src/supervisor/pid-file.ts';
import { sampleOrigin } from './sample-origin.ts';
import { readPort, StartFault, startFault } from './start-faults.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DATA = join(ROOT, 'data');
/** Where `porthole` in this clone finds the relay without any configuration. */
const DEV_RELAY = join(DATA, 'dev-relay.json');
/** The sample's name, so that its URL is the same the next time. */
const SAMPLE_NAME = join(DATA, 'sample-name');

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    return await run(readPort(process.argv.slice(2), process.env['PORT']));
  } catch (error) {
    if (error instanceof StartFault) {
      console.error(error.message);
      return error.exitCode;
    }
    throw error;
  }
}

async function run(port: number): Promise<number> {
  const stop = stopSignal();
  let relay: Relay | undefined;
  let tunnel: Tunnel | undefined;
  let announced: string | undefined;
  const pidFile = new PidFile(DATA);
  try {
    mkdirSync(DATA, { recursive: true });
    pidFile.claim(process.pid);
    relay = new Relay(relayConfig(port));
    const { httpPort } = await relay.start();
    const url = `http://127.0.0.1:${httpPort}`;
    tunnel = await exposeSample(url);
    const text = `${JSON.stringify({ relay: url }, undefined, 2)}\n`;
    writeFileSync(DEV_RELAY, text);
    announced = text;
    greet(tunnel.url);
    await stop;
    console.log('\nStopping …');
    return 0;
  } catch (error) {
    throw startFault(error, port);
  } finally {
    if (announced !== undefined) removeIfStill(DEV_RELAY, announced);
    await tunnel?.close();
    await relay?.drain();
    pidFile.release();
  }
}

/** Somebody may have put another there meanwhile. */
function removeIfStill(path: string, text: string): void {
  try {
    if (readFileSync(path, 'utf8') === text) rmSync(path, { force: true });
  } catch {
    // It is gone already.
  }
}

function relayConfig(port: number): ConstructorParameters<typeof Relay>[0] {
  const flags = { domain: 'localhost', http: `127.0.0.1:${port}`, data: DATA, admin: 'off', open: true, drain: '2s' };
  return loadConfig({ workingDir: ROOT, flags }).config;
}

async function exposeSample(relay: string): Promise<Tunnel> {
  const name = readName();
  try {
    return remembered(await expose({ server: sampleOrigin(), relay, ...(name === undefined ? {} : { name }) }));
  } catch (error) {
    // The name of last time is somebody else's by now, or no name at all: take another.
    if (name === undefined || !(error instanceof PortholeError) || !error.code.startsWith('NAME_')) throw error;
    return remembered(await expose({ server: sampleOrigin(), relay }));
  }
}

function readName(): string | undefined {
  try {
    return readFileSync(SAMPLE_NAME, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function remembered(tunnel: Tunnel): Tunnel {
  writeFileSync(SAMPLE_NAME, `${new URL(tunnel.url).hostname.split('.')[0]}\n`);
  return tunnel;
}

function greet(url: string): void {
  console.log(`
  A sample service is on   ${url}
  Open it in a browser. The relay behind it takes agents from this machine only, without a token.

  To put a port of your own there, type in a second terminal, in this folder:

      npx porthole http 3000

  Ctrl-C ends everything.
`);
}

/** Resolves at the first Ctrl-C or SIGTERM; the second one ends the process at once. */
function stopSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked = false;
  const onSignal = (): void => {
    if (asked) process.exit(130);
    asked = true;
    resolve();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return promise;
}
