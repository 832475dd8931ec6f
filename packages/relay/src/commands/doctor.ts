/** `porthole-relay doctor`: one line per thing looked at, with the remedy where something is wrong. */
import { lookup } from 'node:dns/promises';
import { createServer } from 'node:net';
import { PortholeError } from '@porthole/protocol';
import { TokenRegistry } from '../access/token-registry.ts';
import { type ListenAddress, listenOptions, type RelayConfig } from '../config/config.ts';
import { isLoopback } from '../config/loopback.ts';
import { printListenAddress } from '../config/scalars.ts';
import { openStore } from '../store/open-store.ts';
import { type Flags, settle } from './settle.ts';
import type { World } from './world.ts';

interface Finding {
  readonly state: 'ok' | 'warning' | 'fault';
  readonly text: string;
}

const ok = (text: string): Finding => ({ state: 'ok', text });
const warning = (text: string): Finding => ({ state: 'warning', text });
const fault = (text: string): Finding => ({ state: 'fault', text });

/** 0 when the relay would work, 1 otherwise. Throws CONFIG_INVALID, because nothing else can be looked at then. */
export async function doctor(flags: Flags, world: World): Promise<number> {
  const { config } = settle(flags, world);
  const findings = [
    ok('the configuration is valid'),
    ...(await lookAtStore(config)),
    ...(await lookAtAddresses(config)),
    await lookAtDns(config),
  ];
  findings.push(...lookAtUrl(config));
  for (const { state, text } of findings) world.out(`${state.padEnd(8)} ${text}\n`);
  return findings.some(({ state }) => state === 'fault') ? 1 : 0;
}

async function lookAtStore(config: RelayConfig): Promise<Finding[]> {
  try {
    const store = openStore(config.dataDir);
    try {
      await store.put('doctor/last-run', new Date().toISOString());
      const tokens = (await new TokenRegistry(store).list()).filter((token) => token.revokedAt === undefined);
      const entry =
        tokens.length > 0 || config.open
          ? ok(`${tokens.length} tokens`)
          : warning('no token yet, so no agent can come in: porthole-relay token add <user>');
      return [ok(`the store in ${config.dataDir} can be written`), entry];
    } finally {
      await store.close();
    }
  } catch (error) {
    return [fault(error instanceof PortholeError ? `${error.message} ${error.hint}` : String(error))];
  }
}

async function lookAtAddresses(config: RelayConfig): Promise<Finding[]> {
  const addresses: [string, ListenAddress][] = [['http', config.http]];
  if (config.admin !== undefined) addresses.push(['admin', config.admin]);
  const [first] = config.tcp.ports;
  if (first !== undefined) {
    const host = config.tcp.address === undefined ? {} : { host: config.tcp.address };
    addresses.push(['tcp.ports', { ...host, port: first.first }]);
  }
  return Promise.all(
    addresses.map(async ([name, address]) => {
      const where = `${name} ${printListenAddress(address)}`;
      const why = await whyNotFree(address);
      if (why === undefined) return ok(`${where} is free`);
      return why === 'EADDRINUSE'
        ? warning(`${where} is taken: fine if it is this relay that runs`)
        : fault(`${where} cannot be listened on (${why})`);
    }),
  );
}

function whyNotFree(address: ListenAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    server.listen(listenOptions(address), () => server.close(() => resolve(undefined)));
  });
}

async function lookAtDns(config: RelayConfig): Promise<Finding> {
  const [domain] = config.domains;
  if (domain === 'localhost' || domain.endsWith('.localhost')) return ok(`*.${domain} leads to this machine`);
  const host = `porthole-doctor.${domain}`;
  try {
    const { address } = await lookup(host);
    return ok(`*.${domain} leads to ${address}; see that this is the relay`);
  } catch {
    return fault(`${host} has no address: make a DNS record for *.${domain} that leads to this machine`);
  }
}

function lookAtUrl(config: RelayConfig): Finding[] {
  const local = config.domains[0] === 'localhost';
  if (local || config.publicUrl !== undefined || !isLoopback(config.http)) return [];
  return [
    warning(
      'http is a loopback address and public_url is not set: visitors reach the relay only through something in front of it, whose URL it then has to know',
    ),
  ];
}
