/** The connections of a door: those that are open, and how the last of them leaves. */

export interface OpenConnection {
  /** At once. Whoever added it takes it out when it is closed. */
  destroy(): void;
}

export class OpenConnections<T extends OpenConnection> extends Set<T> {
  #whenEmpty: (() => void)[] = [];

  override delete(connection: T): boolean {
    const wasOpen = super.delete(connection);
    if (this.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
    return wasOpen;
  }

  /** Resolves when the last is closed; those that are left after `deadlineMs` are destroyed. 0: all, now. */
  async untilClosed(deadlineMs: number): Promise<void> {
    if (deadlineMs <= 0) this.#destroyAll();
    if (this.size === 0) return;
    const timer = setTimeout(() => this.#destroyAll(), deadlineMs);
    await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    clearTimeout(timer);
  }

  #destroyAll(): void {
    for (const connection of this) connection.destroy();
  }
}
