/** `porthole-relay config` */
import { printConfig } from '../config/print-config.ts';
import { type Flags, settle } from './settle.ts';
import type { World } from './world.ts';

export function showConfig(flags: Flags, world: World): void {
  world.out(printConfig(settle(flags, world)));
}
