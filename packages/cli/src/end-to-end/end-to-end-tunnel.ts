/** An end-to-end tunnel as a whole: the origin that ends TLS, its certificate, and what the user is told about it. */
import { getCACertificates } from 'node:tls';
import type { Output } from '../output/output.ts';
import type { EndToEndPlan } from '../plan.ts';
import type { RelayChoice } from '../settings/relay-choice.ts';
import { AgentCertificate } from './agent-certificate.ts';
import { EndToEndOrigin } from './end-to-end-origin.ts';
import type { Inside } from './inside.ts';
import { lookFromOutside } from './outside-look.ts';

export interface EndToEndSurroundings {
  readonly choice: RelayChoice;
  readonly output: Output;
  readonly certificateFolder: string;
}

export class EndToEndTunnel {
  readonly origin: EndToEndOrigin;
  readonly #certificate: AgentCertificate;
  readonly #output: Output;
  #urls: readonly string[] = [];

  /** `inside` gets what visitors send, decrypted. */
  constructor(plan: EndToEndPlan, inside: Inside, { choice, output, certificateFolder }: EndToEndSurroundings) {
    this.origin = new EndToEndOrigin(inside);
    this.#output = output;
    const ca = choice.ca === undefined ? undefined : [...getCACertificates('default'), choice.ca].join('\n');
    this.#certificate = new AgentCertificate(
      { folder: certificateFolder, directoryUrl: plan.directoryUrl, email: plan.email, ca },
      this.origin,
      {
        onCertificate: (facts) => void this.#tell(facts),
        onTrouble: (error, nextTryInMs) =>
          output.event(
            {
              event: 'note',
              message: `no certificate yet: ${error.message} ${error.hint} Next try in ${Math.round(nextTryInMs / 1000)} s.`,
            },
            'warn',
          ),
      },
    );
  }

  /** The public addresses stand (again). */
  claimed(urls: readonly string[]): void {
    this.#urls = urls;
    this.#certificate.namesAre(urls.map((url) => new URL(url).hostname));
  }

  close(): void {
    this.#certificate.close();
  }

  async #tell({ fingerprint, until }: { fingerprint: string; until: Date }): Promise<void> {
    for (const url of this.#urls) {
      const seen = await lookFromOutside(url, fingerprint);
      const name = new URL(url).hostname;
      this.#output.event({ event: 'certificate', name, fingerprint, until: until.toISOString(), seen });
    }
  }
}
