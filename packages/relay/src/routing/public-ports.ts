/** The seam between whoever grants ports of the pool and the door that listens on them. */

export interface PublicPorts {
  /** Listens on the port for raw visitors, who go to whatever target the registry has for it. Rejects with ADDRESS_IN_USE. */
  open(port: number): Promise<void>;
  /** Stops listening; visitors who are in stay. Idempotent. */
  close(port: number): void;
}

/** A bound socket in the shape in which Node passes one from process to process, and `listen` takes it. */
export interface ListenHandle {
  close(): void;
}

/** Where the door gets bound sockets from when another process owns them, so that ports outlive this one. */
export interface PortSource {
  /** Resolves once the port has been given to whoever takes ports here. Rejects with ADDRESS_IN_USE. */
  acquire(port: number): Promise<void>;
  /** From now on `take` gets every port, those that are open already first, and those that others asked for. */
  deliver(take: (port: number, handle: ListenHandle) => void): void;
}
