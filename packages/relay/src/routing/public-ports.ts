/** The seam between whoever grants ports of the pool and the door that listens on them. */

export interface PublicPorts {
  /** Listens on the port for raw visitors, who go to whatever target the registry has for it. Rejects with ADDRESS_IN_USE. */
  open(port: number): Promise<void>;
  /** Stops listening; visitors who are in stay. Idempotent. */
  close(port: number): void;
}
