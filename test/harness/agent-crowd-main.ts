/** Many agents in one process: `node agent-crowd-main.ts <relay-url> <count>`. Says so when all their tunnels stand. */
import { Agent } from '@porthole/agent';

const [relay = '', count = '0'] = process.argv.slice(2);
const token = process.env['PORTHOLE_TOKEN'];

const agents = Array.from(
  { length: Number(count) },
  () => new Agent({ relay, ...(token === undefined ? {} : { token }) }),
);
for (const agent of agents) {
  // Nothing listens there: these agents have no visitors.
  await agent.expose({ target: 9, openTimeoutMs: 60_000 });
}
process.stdout.write(`standing ${agents.length}\n`);
process.once('SIGTERM', () => {
  void Promise.allSettled(agents.map((agent) => agent.close(0))).then(() => process.exit(0));
});
