/**
 * `npm start`: relay, sample service and agent in this process, on this machine only. Prints the public URL and the line
 * for a second terminal; Ctrl-C ends all of it cleanly.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { expose, PortholeError, type Tunnel } from '@porthole/agent';
import { loadConfig } from '../packages/relay/src/config/load-config.ts';
import { Relay } from '../packages/relay/src/relay.ts';
import { sampleOrigin } from './sample-origin.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DATA = join(ROOT, 'data');
/** Where `porthole` in this clone finds the relay without any configuration. */
const DEV_RELAY = join(DATA, 'dev-relay.json');
/** The sample's name, so that its URL is the same the next time. */
const SAMPLE_NAME = join(DATA, 'sample-name');

const { values: options } = parseArgs({
  options: { port: { type: 'string', default: process.env['PORT'] ?? '8080' } },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const stop = stopSignal();
  mkdirSync(DATA, { recursive: true });
  let relay: Relay | undefined;
  let tunnel: Tunnel | undefined;
  let announced = false;
  try {
    relay = new Relay(relayConfig(options.port));
    const { httpPort } = await relay.start();
    const url = `http://127.0.0.1:${httpPort}`;
    tunnel = await exposeSample(url);
    writeFileSync(DEV_RELAY, `${JSON.stringify({ relay: url }, undefined, 2)}\n`);
    announced = true;
    greet(tunnel.url);
    await stop;
    console.log('\nStopping …');
    return 0;
  } catch (error) {
    console.error(sentence(error));
    return 1;
  } finally {
    // Not before it is ours: another `npm start` may be running here.
    if (announced) rmSync(DEV_RELAY, { force: true });
    await tunnel?.close();
    await relay?.drain();
  }
}

function relayConfig(port: string): ConstructorParameters<typeof Relay>[0] {
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

function sentence(error: unknown): string {
  if (!(error instanceof PortholeError)) return error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (error.code !== 'ADDRESS_IN_USE') return `${error.message} ${error.hint}`;
  return `Port ${options.port} is taken by another program. Stop that program, or choose another port: npm start -- --port 8081`;
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
