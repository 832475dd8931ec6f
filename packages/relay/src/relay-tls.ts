/** What a relay has only with https: the doors of both addresses, and the certificates behind them. */
import type { Socket } from 'node:net';
import type { CustomDomains } from './access/custom-domains.ts';
import type { ReservedNames } from './access/reserved-names.ts';
import { listenOptions, type RelayConfig, type TlsConfig } from './config/config.ts';
import type { DoorParts } from './edge/door-parts.ts';
import type { EdgeParts } from './edge/edge-parts.ts';
import type { HttpDoor } from './edge/http-door.ts';
import { OwnHosts } from './edge/own-hosts.ts';
import type { ProxyArrivals } from './edge/proxy-arrivals.ts';
import { RedirectDoor } from './edge/redirect-door.ts';
import type { TlsCounters } from './edge/tls-counters.ts';
import { TlsDoor } from './edge/tls-door.ts';
import type { Log } from './observe/log.ts';
import { RelayCertificates } from './relay-certificates.ts';
import type { Store } from './store/store.ts';
import type { CertificateStatus } from './tls/certificate-keeper.ts';

export interface RelayTlsParts {
  readonly config: RelayConfig;
  readonly tls: TlsConfig;
  readonly edge: EdgeParts;
  /** Takes visitors once TLS is off. */
  readonly httpDoor: HttpDoor;
  /** Of a port with routes of its own; undefined: of the public addresses. */
  readonly partsOf: (port: number | undefined) => DoorParts | undefined;
  readonly store: Store;
  readonly names: ReservedNames;
  readonly customDomains: CustomDomains | undefined;
  /** Whoever holds the tunnel of this host. */
  readonly holderOf: (host: string) => string | undefined;
  readonly log: Log;
  readonly counters: TlsCounters;
  readonly arrivals: ProxyArrivals | undefined;
  /** As `arrivals`, of the plain address. */
  readonly plainArrivals: ProxyArrivals | undefined;
  readonly secureUrlOf: (host: string) => string;
}

/** What the admin address and the metrics read. */
export interface TlsInsides {
  readonly counters: TlsCounters;
  readonly halfOpen: number;
  readonly certificates: readonly CertificateStatus[];
}

export class RelayTls {
  /** Instead of the HTTP door on the HTTP address. */
  readonly redirect: RedirectDoor | undefined;
  readonly #parts: RelayTlsParts;
  readonly #certificates: RelayCertificates;
  readonly #door: TlsDoor;

  constructor(parts: RelayTlsParts) {
    const { config, tls, store, log } = parts;
    this.#parts = parts;
    this.#certificates = new RelayCertificates({ config, tls, store, log, permit: (name) => this.#ownerOf(name) });
    this.#door = this.#newDoor();
    this.redirect = tls.redirectHttp ? this.#newRedirect() : undefined;
  }

  get insides(): TlsInsides {
    return { counters: this.#parts.counters, halfOpen: this.#door.halfOpen, certificates: this.#certificates.status };
  }

  /** Reads what certificates there are. */
  async prepare(): Promise<void> {
    await this.#certificates.start();
  }

  /** Resolves with the port of the https address. Rejects with ADDRESS_IN_USE. `fd`: an inherited socket to listen on. */
  async start(fd: number | undefined): Promise<number> {
    const address = await this.#door.start(fd === undefined ? listenOptions(this.#parts.tls.listen) : { fd });
    return address.port;
  }

  /** A visitor of a tunnel by port. */
  accept(socket: Socket, port: number): void {
    this.#door.accept(socket, port);
  }

  drain(limitMs: number): Promise<void> {
    return this.#door.drain(limitMs);
  }

  /** At once; certificates may still be asked for until `closeCertificates`. */
  async close(): Promise<void> {
    await Promise.all([this.#door.close(), this.redirect?.close()]);
  }

  async closeCertificates(): Promise<void> {
    await this.#certificates.close();
  }

  #newDoor(): TlsDoor {
    const { config, edge, httpDoor, partsOf, counters, arrivals } = this.#parts;
    const ownHosts = new OwnHosts(config.domains);
    return new TlsDoor({
      ...edge,
      certificates: this.#certificates.serving,
      tlsCounters: counters,
      arrivals,
      isOurs: (host) => ownHosts.has(host) || edge.registry.resolveHost(host).state !== 'unknown',
      acceptHttp: (socket, visitor, port) => httpDoor.accept(socket, 'https', visitor, partsOf(port)),
      acceptH2: (socket, visitor, port) =>
        httpDoor.h2.acceptH2(socket, {
          scheme: 'https',
          covers: (host) => visitor.serves(host),
          tls: visitor,
          parts: partsOf(port),
        }),
    });
  }

  #newRedirect(): RedirectDoor {
    const { config, secureUrlOf, plainArrivals, edge } = this.#parts;
    return new RedirectDoor({
      challengeAnswer: (path) => this.#certificates.challenges.httpAnswer(path),
      secureUrlOf,
      arrivals: plainArrivals,
      maxVisitors: config.limits.maxVisitors,
      reportBug: edge.reportBug,
      acceptFailed: edge.acceptFailed,
    });
  }

  /** Names that may have a certificate on first use: tunnels that stand, reserved names, proven domains. */
  async #ownerOf(host: string): Promise<string | undefined> {
    const { config, names, holderOf, customDomains } = this.#parts;
    for (const domain of config.domains) {
      if (!host.endsWith(`.${domain}`)) continue;
      const label = host.slice(0, -domain.length - 1);
      return label.includes('.') ? undefined : (holderOf(host) ?? names.ownerOf(label));
    }
    return await customDomains?.ownerOf(host);
  }
}
