/** `serve` with workers: binds what is public, starts the supervisor, passes on signals to reload and to stop. */
import { PortholeError } from '@porthole/protocol';
import type { ListenAddress, RelayConfig } from '../config/config.ts';
import { printListenAddress } from '../config/scalars.ts';
import { registryLimits } from '../relay.ts';
import { LeaseJournal } from '../routing/lease-journal.ts';
import { type BoundSocket, bindSocket } from '../supervisor/bound-socket.ts';
import type { PublicRole, SocketRole } from '../supervisor/channel-messages.ts';
import { inheritedSockets } from '../supervisor/inherited-sockets.ts';
import { PortHandles } from '../supervisor/port-handles.ts';
import { Registrar } from '../supervisor/registrar.ts';
import { RelayTotals } from '../supervisor/relay-totals.ts';
import { openRunFolder } from '../supervisor/run-folder.ts';
import { Supervisor, type SupervisorSettings } from '../supervisor/supervisor.ts';
import type { Listening } from './running-relay.ts';
import type { Serving } from './serving.ts';
import { supervisedAdmin } from './supervised-admin.ts';
import { stopRequests } from './stop-requests.ts';

/** An earlier supervisor that was killed leaves workers, which let go of the sockets when they notice. */
const BIND_PATIENCE_MS = 5_000;
const BIND_AGAIN_MS = 50;

/** `settleAgain` reads the configuration anew for a reload; it throws CONFIG_INVALID. */
export async function supervise(
  serving: Serving,
  settleAgain: () => RelayConfig,
  announce: (listening: Listening) => Promise<void>,
): Promise<void> {
  const { config, store, log, pidFile, world } = serving;
  const inherited = inheritedSockets(world.env, world.pid);
  const sockets = await bindPublic(serving, inherited);
  const folder = openRunFolder(config.dataDir, world.pid);
  const ports = new PortHandles(config.tcp.address);
  const registrar = new Registrar({
    journal: new LeaseJournal(store, (err) => log.error({ event: 'lease journal failed', err })),
    limits: registryLimits(config),
    onPortFreed: (port) => ports.close(port),
  });
  await registrar.start();
  const totals = new RelayTotals();
  const supervisor = new Supervisor({
    settings: settingsOf(config),
    sockets,
    ports,
    registrar,
    totals,
    folder: folder.path,
    startProcess: world.startWorker,
    log,
  });
  const admin = supervisedAdmin(serving, { supervisor, registrar, totals });
  const stop = stopRequests(world);
  try {
    // First: whoever watches sees the start.
    const adminPort = await admin?.start(inherited.get('admin')?.fd);
    const ready = await Promise.race([supervisor.start(), stop.first]);
    if (ready === undefined) return;
    const reloads = new Reloads(supervisor, registrar, serving, settleAgain);
    world.onReload(() => reloads.ask());
    pidFile.allowReload();
    // Where there is a terminal, SIGHUP says that it is gone; where there is none, it is how services are reloaded.
    world.onHangUp(() => (world.isTty ? stop.ask() : reloads.ask()));
    await announce(listeningOf(ready.listening, config, adminPort));
    await stop.first;
    log.info({ event: 'stopping', limit_ms: config.drainMs });
    await Promise.race([supervisor.stop(config.drainMs), stop.second]);
  } finally {
    await supervisor.kill();
    await admin?.close();
    await registrar.close();
    folder.remove();
  }
}

/** One reload at a time; those asked for meanwhile are one more. */
class Reloads {
  readonly #supervisor: Supervisor;
  readonly #registrar: Registrar;
  readonly #serving: Serving;
  readonly #settleAgain: () => RelayConfig;
  #isUnderWay = false;
  #isAskedAgain = false;
  #count = 0;

  constructor(supervisor: Supervisor, registrar: Registrar, serving: Serving, settleAgain: () => RelayConfig) {
    this.#supervisor = supervisor;
    this.#registrar = registrar;
    this.#serving = serving;
    this.#settleAgain = settleAgain;
  }

  ask(): void {
    this.#isAskedAgain = true;
    if (!this.#isUnderWay) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isUnderWay = true;
    while (this.#isAskedAgain) {
      this.#isAskedAgain = false;
      this.#count += 1;
      const detail = await this.#reload();
      this.#serving.pidFile.tell({
        count: this.#count,
        ok: detail === undefined,
        detail: detail ?? `generation ${this.#supervisor.generation}`,
      });
    }
    this.#isUnderWay = false;
  }

  /** What went wrong, if anything did. */
  async #reload(): Promise<string | undefined> {
    const { log } = this.#serving;
    try {
      const config = this.#settleAgain();
      const settings = settingsOf(config);
      if (settings.workers === 0) throw new PortholeError('CONFIG_INVALID', 'workers: 0 needs a restart');
      await this.#supervisor.reload(settings);
      this.#registrar.adopt(registryLimits(config));
      return undefined;
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      log.error({
        event: 'reload failed',
        detail,
        generation: this.#supervisor.generation,
        hint: 'the running processes go on as before',
      });
      return detail;
    }
  }
}

async function bindPublic(
  { config, log, pidFile }: Serving,
  inherited: ReadonlyMap<SocketRole, BoundSocket>,
): Promise<ReadonlyMap<PublicRole, BoundSocket>> {
  const sockets = new Map<PublicRole, BoundSocket>();
  const wanted: readonly (readonly [PublicRole, ListenAddress | undefined])[] = [
    ['http', config.http],
    ['https', config.tls?.listen],
  ];
  try {
    for (const [role, address] of wanted) {
      const socket =
        inherited.get(role) ??
        (address === undefined ? undefined : await bindPatiently(address, pidFile.wasLeftBehind));
      if (socket !== undefined) sockets.set(role, socket);
    }
  } catch (error) {
    for (const socket of sockets.values()) socket.close();
    throw error;
  }
  log.debug({ event: 'bound', sockets: [...sockets.keys()] });
  return sockets;
}

async function bindPatiently({ host, port }: ListenAddress, mayWait: boolean): Promise<BoundSocket> {
  const end = performance.now() + (mayWait ? BIND_PATIENCE_MS : 0);
  for (;;) {
    try {
      return await bindSocket(port, host);
    } catch (error) {
      const isTaken = error instanceof PortholeError && error.code === 'ADDRESS_IN_USE';
      if (!isTaken || performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, BIND_AGAIN_MS));
    }
  }
}

function settingsOf({ workers, reloadDrainMs }: RelayConfig): SupervisorSettings {
  return { workers, reloadDrainMs };
}

function listeningOf(
  fields: Readonly<Record<string, unknown>>,
  { admin }: RelayConfig,
  adminPort: number | undefined,
): Listening {
  const where =
    admin === undefined || adminPort === undefined ? {} : { admin: printListenAddress({ ...admin, port: adminPort }) };
  return { ...fields, ...where, url: String(fields['url']) };
}
