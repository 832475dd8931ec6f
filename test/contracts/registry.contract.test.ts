import { LocalRouteRegistry } from '../../packages/relay/src/routing/route-registry.ts';
import { CONTRACT_LIMITS, registryContract } from './registry.contract.ts';
import { FakeClock } from './registry.contract-clock.ts';

registryContract('LocalRouteRegistry', async () => {
  const clock = new FakeClock();
  const registry = new LocalRouteRegistry({ limits: CONTRACT_LIMITS, schedule: clock.schedule });
  await registry.start();
  return { registry, passTime: (ms) => clock.pass(ms) };
});
