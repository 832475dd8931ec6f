/**
 * The open streams of a session by id. Not a `Map`: V8's grows a new table every few dozen removals, the old one keeps
 * what was in it and points to the new one, and once one of them has grown old all later ones survive with it,
 * with every stream they ever held. Under load that made a third of all garbage outlive its collection.
 */

const FIRST_SLOTS = 16;
/** Tables up to this size (32 KiB) are kept when the last stream goes. */
const KEPT_SLOTS = 4_096;

export class StreamTable<T extends { readonly id: number }> {
  /** By the low bits of the id, which counts up: neighbours in time never meet. */
  #slots: (T | undefined)[] = new Array(FIRST_SLOTS).fill(undefined);
  #size = 0;
  /** Those whose slot was wanted by a later stream while most others were free: the few that live long. */
  readonly #elders = new Map<number, T>();

  get size(): number {
    return this.#size;
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  get(id: number): T | undefined {
    const found = this.#slots[this.#slotOf(id)];
    if (found !== undefined && found.id === id) return found;
    return this.#elders.size === 0 ? undefined : this.#elders.get(id);
  }

  /** An id that is not in it yet. */
  add(stream: T): void {
    if (this.#size * 2 >= this.#slots.length) this.#resize(this.#slots.length * 2);
    this.#put(stream);
    this.#size += 1;
  }

  /** Whoever is not in it changes nothing. */
  delete(stream: T): void {
    const slot = this.#slotOf(stream.id);
    if (this.#slots[slot] === stream) this.#slots[slot] = undefined;
    else if (!this.#elders.delete(stream.id)) return;
    this.#size -= 1;
    if (this.#size === 0 && this.#slots.length > KEPT_SLOTS) this.#resize(FIRST_SLOTS);
  }

  /** A copy, so that streams may come and go meanwhile. */
  values(): T[] {
    return [...this.#slots.filter((stream) => stream !== undefined), ...this.#elders.values()];
  }

  #slotOf(id: number): number {
    return (id >>> 1) & (this.#slots.length - 1);
  }

  #put(stream: T): void {
    const slot = this.#slotOf(stream.id);
    const before = this.#slots[slot];
    if (before !== undefined) this.#elders.set(before.id, before);
    this.#slots[slot] = stream;
  }

  #resize(length: number): void {
    const streams = this.values();
    this.#slots = new Array(length).fill(undefined);
    this.#elders.clear();
    for (const stream of streams) this.#put(stream);
  }
}
