/** Many agents in one process: `node crowd-main.ts <relay-url> <count> <flaps>`. */
import { expose, type Tunnel } from '@porthole/agent';

const [relay, count, flaps] = [process.argv[2] as string, Number(process.argv[3]), Number(process.argv[4])];
const AT_ONCE = 50;

function open(): Promise<Tunnel> {
  // Nothing listens there: these agents have no visitors.
  return expose({ target: 9, relay });
}

async function many(total: number, work: () => Promise<void>): Promise<void> {
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < total) {
      started += 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, total) }, worker));
}

const tunnels: Tunnel[] = [];
await many(count, async () => {
  tunnels.push(await open());
});
console.log('all are there');

if (flaps > 0) {
  await many(flaps, async () => {
    const tunnel = await open();
    await tunnel.close();
  });
  console.log('flapped');
}

process.once('SIGTERM', () => {
  void Promise.allSettled(tunnels.map((tunnel) => tunnel.close())).then(() => process.exit(0));
});
