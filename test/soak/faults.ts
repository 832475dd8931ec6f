/** Survivable faults, drawn from a seed: none of them may be seen by a visitor as more than a pause. */
import type { AgentUnderTest } from '../harness/agent.ts';
import type { CarrierCutter } from '../harness/carrier-cutter.ts';
import { seededRandom } from '../harness/random.ts';
import type { RelayUnderTest } from '../harness/relay.ts';

export interface FaultTargets {
  readonly cutter: CarrierCutter;
  readonly agents: readonly AgentUnderTest[];
  readonly relay: RelayUnderTest;
}

type Fault = (targets: FaultTargets, lastMs: number) => Promise<void>;

/** A fault that lasts for a while: begun, held, ended. Time is its subject. */
function lasting(begin: (targets: FaultTargets) => void, end: (targets: FaultTargets) => void): Fault {
  return async (targets, lastMs) => {
    begin(targets);
    await new Promise((resolve) => setTimeout(resolve, lastMs));
    end(targets);
  };
}

const heal = ({ cutter }: FaultTargets): void => cutter.heal();

const FAULTS: Readonly<Record<string, Fault>> = {
  'carrier reset': async ({ cutter }) => void cutter.cut('reset'),
  'carrier closed': async ({ cutter }) => void cutter.cut('close'),
  'cut behind a byte': async ({ cutter }) => cutter.cutAfter(1 + Math.floor(cutter.bytes.down % 9973), 'any', 'reset'),
  'black hole up': lasting(({ cutter }) => cutter.blackHole('up'), heal),
  'black hole down': lasting(({ cutter }) => cutter.blackHole('down'), heal),
  'black hole both ways': lasting(({ cutter }) => cutter.blackHole(), heal),
  'slow line': lasting(
    ({ cutter }) => cutter.throttle(2_000_000),
    ({ cutter }) => cutter.throttle(undefined),
  ),
  'late line': lasting(
    ({ cutter }) => cutter.delay(80),
    ({ cutter }) => cutter.delay(0),
  ),
  'relay useless': lasting(
    ({ cutter }) => {
      cutter.refuse(true);
      cutter.cut();
    },
    ({ cutter }) => cutter.refuse(false),
  ),
  'agent frozen': lasting(
    ({ agents }) => agents.forEach((agent) => agent.program.freeze()),
    ({ agents }) => agents.forEach((agent) => agent.program.thaw()),
  ),
  'clock jumps by an hour': async ({ agents }) => agents.forEach((agent) => agent.jumpClock()),
  'relay frozen': lasting(
    ({ relay }) => relay.program.freeze(),
    ({ relay }) => relay.program.thaw(),
  ),
};

/** Deals faults until told to stop; returns how many of each kind. */
export async function dealFaults(targets: FaultTargets, seed: number, stop: AbortSignal): Promise<Map<string, number>> {
  const random = seededRandom(seed);
  const kinds = Object.keys(FAULTS);
  const counts = new Map<string, number>(kinds.map((kind) => [kind, 0]));
  while (!stop.aborted) {
    await new Promise((resolve) => setTimeout(resolve, random.between(100, 1500)));
    const kind = kinds[random.between(0, kinds.length - 1)] ?? '';
    await FAULTS[kind]?.(targets, random.between(200, 4000));
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  targets.cutter.heal();
  return counts;
}
