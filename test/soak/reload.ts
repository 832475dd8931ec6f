/**
 * `node --conditions=@porthole/source test/soak/reload.ts [seconds] [reloads] [workers]`: mixed load while the relay is
 * reloaded again and again. Ends with a table, and with exit code 1 when a visitor saw anything of it.
 */
import { startAgent } from '../harness/agent.ts';
import { startOrigin } from '../harness/origin.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { startRelay } from '../harness/relay.ts';
import { ReloadLoad, slowRoute } from '../harness/reload-load.ts';

const [seconds = 60, reloads = 5, workers = 1] = process.argv.slice(2).map(Number);
if (!(seconds > 0) || !(reloads > 0) || !(workers > 0)) {
  process.stderr.write('usage: test/soak/reload.ts [seconds] [reloads] [workers]\n');
  process.exit(2);
}

async function soak(): Promise<number> {
  const origin = await startOrigin({ route: slowRoute });
  const echo = await startRawOrigin();
  echo.server.on('connection', (socket) => socket.pipe(socket));
  const relay = await startRelay({ tcpPorts: 2, config: { workers } });
  const token = await relay.addToken('soak');
  const web = await startAgent({ relayUrl: relay.url, token, target: origin.port });
  const tcp = await startAgent({ relayUrl: relay.url, token, target: echo.port, kind: 'tcp' });
  const load = new ReloadLoad({
    url: (await web.url()).replace(/\/$/, ''),
    tcpPort: Number(new URL(await tcp.url()).port),
    connections: 8,
    slowMs: (seconds * 1000) / 2,
  });
  await load.start();
  for (let round = 0; round < reloads; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / (reloads + 1)));
    await relay.command('reload');
  }
  await new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / (reloads + 1)));
  const messages = await load.stop();
  const rows = {
    reloads,
    workers,
    requests: load.requests,
    'slow downloads': load.downloads,
    'messages of long visits': messages,
    'connections asked to close': load.asked,
    errors: load.errors.length,
  };
  for (const [name, value] of Object.entries(rows)) process.stdout.write(`  ${name.padEnd(28)} ${value}\n`);
  for (const error of load.errors) process.stdout.write(`  ${error}\n`);
  await web.close();
  await tcp.close();
  await relay.close();
  await echo.close();
  await origin.close();
  return load.errors.length === 0 ? 0 : 1;
}

process.exit(await soak());
