/** The admin address of a relay with workers: in the supervisor, which is there while workers come, hang and go. */
import { AdminServer } from '../admin/admin-server.ts';
import { Metrics } from '../observe/metrics.ts';
import { addProcessMetrics } from '../observe/process-metrics.ts';
import { drainRow, droppedLinesRow, routeRows } from '../relay-metrics.ts';
import type { Registrar } from '../supervisor/registrar.ts';
import { RelayAccount } from '../supervisor/relay-account.ts';
import type { RelayTotals } from '../supervisor/relay-totals.ts';
import type { Supervisor } from '../supervisor/supervisor.ts';
import type { Serving } from './serving.ts';

export interface Supervised {
  readonly supervisor: Supervisor;
  readonly registrar: Registrar;
  readonly totals: RelayTotals;
}

/** Undefined when the admin address is off. */
export function supervisedAdmin(
  { config, log, world }: Serving,
  { supervisor, registrar, totals }: Supervised,
): AdminServer | undefined {
  if (config.admin === undefined) return undefined;
  const process = new Metrics();
  process.add([droppedLinesRow(world)]);
  addProcessMetrics(process);
  const sources = new RelayAccount({
    supervisor,
    totals,
    ownRows: [...routeRows(() => registrar.sizes), drainRow(() => supervisor.isStopping)],
    process,
    version: world.version,
    log,
  });
  return new AdminServer(config.admin, { sources, onError: (err) => log.error({ event: 'admin failed', err }) });
}
