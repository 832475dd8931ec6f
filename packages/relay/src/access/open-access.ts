/**
 * No tokens: everybody is the same identity. Only for a relay that listens on loopback alone; the configuration
 * refuses it anywhere else.
 */
import type { Access, Authenticated, Permission } from './access.ts';
import { RESERVED_LABELS } from './reserved-labels.ts';

const ANYBODY: Authenticated = { ok: true, identity: 'local', scope: {} };

export class OpenAccess implements Access {
  authenticate(): Promise<Authenticated> {
    return Promise.resolve(ANYBODY);
  }

  mayUseName(_who: Authenticated, name: string): Permission {
    return RESERVED_LABELS.has(name) ? { ok: false, code: 'NAME_RESERVED', detail: name } : { ok: true };
  }

  mayUsePort(): Permission {
    return { ok: true };
  }

  fitName(_who: Authenticated, random: string): string {
    return random;
  }

  onRevoked(): () => void {
    return () => {};
  }
}
