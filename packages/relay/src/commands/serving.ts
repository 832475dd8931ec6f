/** What a running `serve` or worker is made of. */
import type { RelayConfig } from '../config/config.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import type { PidFile } from '../supervisor/pid-file.ts';
import type { ServeWorld } from './world.ts';

export interface Serving {
  readonly config: RelayConfig;
  readonly store: Store;
  readonly log: Log;
  /** Claimed. */
  readonly pidFile: PidFile;
  readonly world: ServeWorld;
}
