/**
 * Writes down who holds which address, so that nobody else gets it while the relay restarts. Writing lags behind
 * claiming and never stops it: a full disk must not refuse tunnels.
 */
import type { JsonValue, Store } from '../store/store.ts';
import type { Address } from './registry.ts';

export interface RecordedLease {
  readonly address: Address;
  readonly identity: string;
  readonly epoch: number;
  readonly raw?: boolean;
  readonly clientCa?: string | undefined;
}

const HOST_PREFIX = 'leases/host/';
const PORT_PREFIX = 'leases/port/';

export class LeaseJournal {
  readonly #store: Store;
  readonly #onError: (error: unknown) => void;
  /** What is not written yet, one entry per address; undefined: to be deleted. Bounded by the registry's leases. */
  readonly #dirty = new Map<string, JsonValue | undefined>();
  #writing: Promise<void> | undefined;

  constructor(store: Store, onError: (error: unknown) => void) {
    this.#store = store;
    this.#onError = onError;
  }

  async load(): Promise<readonly RecordedLease[]> {
    const documents = await this.#store.list('leases/');
    return documents.flatMap(({ key, value }) => parseLease(key, value) ?? []);
  }

  held(lease: RecordedLease): void {
    this.#mark(keyOf(lease.address), {
      identity: lease.identity,
      epoch: lease.epoch,
      ...(lease.raw === true ? { raw: true } : {}),
      ...(lease.clientCa === undefined ? {} : { client_ca: lease.clientCa }),
    });
  }

  freed(address: Address): void {
    this.#mark(keyOf(address), undefined);
  }

  /** Resolves when everything said so far has been written or given up. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  #mark(key: string, value: JsonValue | undefined): void {
    this.#dirty.set(key, value);
    this.#writing ??= this.#drain().finally(() => {
      this.#writing = undefined;
    });
  }

  async #drain(): Promise<void> {
    while (this.#dirty.size > 0) {
      const batch = [...this.#dirty];
      this.#dirty.clear();
      const results = await Promise.allSettled(
        batch.map(([key, value]) => (value === undefined ? this.#store.delete(key) : this.#store.put(key, value))),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) this.#onError(failed.reason);
    }
  }
}

function keyOf(address: Address): string {
  return 'host' in address ? `${HOST_PREFIX}${address.host}` : `${PORT_PREFIX}${address.port}`;
}

function parseLease(key: string, value: JsonValue): RecordedLease | undefined {
  if (typeof value !== 'object' || value === null || !('identity' in value)) return undefined;
  const { identity, epoch } = value;
  if (typeof identity !== 'string' || typeof epoch !== 'number') return undefined;
  const raw = 'raw' in value && value['raw'] === true ? { raw: true } : {};
  const clientCa =
    'client_ca' in value && typeof value['client_ca'] === 'string' ? { clientCa: value['client_ca'] } : {};
  const address = addressOf(key);
  return address === undefined ? undefined : { address, identity, epoch, ...raw, ...clientCa };
}

function addressOf(key: string): Address | undefined {
  if (key.startsWith(HOST_PREFIX)) return { host: key.slice(HOST_PREFIX.length) };
  const port = Number(key.slice(PORT_PREFIX.length));
  return key.startsWith(PORT_PREFIX) && Number.isInteger(port) ? { port } : undefined;
}
