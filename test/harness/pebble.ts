/**
 * Debian's `pebble`, an ACME server made to be difficult, and `pebble-challtestsrv`, its DNS, as real processes. They
 * listen on port 0; which ports they got is read from /proc, because they do not say.
 */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { TestAuthority, writeCertificateFiles } from './certificates.ts';
import { installed, missing } from './debian.ts';
import { Program } from './program.ts';
import { until } from './until.ts';

/** For `describe.skipIf(pebbleMissing())`; says so on standard error. */
export function pebbleMissing(): boolean {
  return missing('pebble', 'pebble-challtestsrv');
}

export interface PebbleOptions {
  /** Where validations of http-01 and tls-alpn-01 go. Default 1: nobody is there. */
  readonly httpPort?: number;
  readonly tlsPort?: number;
  /** `host:port` of the DNS server it asks. */
  readonly dnsServer: string;
  /** Percentage of good nonces refused. Default 5, as out of the box. */
  readonly nonceRejectPercent?: number;
  /** Further `PEBBLE_…` variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** External account binding is required when there is any: kid to base64url HMAC key. */
  readonly externalAccounts?: Readonly<Record<string, string>>;
  /** Life of the certificates in seconds. */
  readonly validitySeconds?: number;
}

export class Pebble {
  readonly directoryUrl: string;
  /** Of the authority that signed the directory's own certificate. */
  readonly caPem: string;
  readonly program: Program;
  readonly #managementUrl: string;
  readonly #remove: () => void;

  private constructor(parts: {
    program: Program;
    caPem: string;
    acmePort: number;
    managementPort: number;
    remove: () => void;
  }) {
    this.program = parts.program;
    this.caPem = parts.caPem;
    this.directoryUrl = `https://127.0.0.1:${parts.acmePort}/dir`;
    this.#managementUrl = `https://127.0.0.1:${parts.managementPort}`;
    this.#remove = parts.remove;
  }

  static async start(options: PebbleOptions): Promise<Pebble> {
    const files = writeCertificateFiles(new TestAuthority('Pebble directory CA'), ['localhost', '127.0.0.1']);
    const config = join(files.folder, 'pebble.json');
    const { externalAccounts, validitySeconds } = options;
    const pebble = {
      listenAddress: '127.0.0.1:0',
      managementListenAddress: '127.0.0.1:0',
      certificate: files.chainFile,
      privateKey: files.keyFile,
      httpPort: options.httpPort ?? 1,
      tlsPort: options.tlsPort ?? 1,
      ocspResponderURL: '',
      ...(externalAccounts === undefined
        ? {}
        : { externalAccountBindingRequired: true, externalAccountMACKeys: externalAccounts }),
      ...(validitySeconds === undefined ? {} : { certificateValidityPeriod: validitySeconds }),
    };
    writeFileSync(config, JSON.stringify({ pebble }));
    const program = new Program({
      name: 'pebble',
      command: installed('pebble') ?? 'pebble',
      args: ['-config', config, '-dnsserver', options.dnsServer],
      env: {
        PEBBLE_VA_NOSLEEP: '1',
        PEBBLE_AUTHZREUSE: '0',
        PEBBLE_WFE_NONCEREJECT: String(options.nonceRejectPercent ?? 5),
        ...options.env,
      },
      stopSignal: 'SIGKILL',
    });
    const caPem = readFileSync(files.caFile, 'utf8');
    const ports = await until('pebble listens', () => atLeast(2, listeningPorts(program.pid, 'tcp')));
    const isAcme = await Promise.all(
      ports.map(async (port) => (await getText(`https://127.0.0.1:${port}/dir`, caPem)).status === 200),
    );
    const acmePort = ports[isAcme.indexOf(true)] ?? 0;
    const managementPort = ports[isAcme.indexOf(false)] ?? 0;
    return new Pebble({ program, caPem, acmePort, managementPort, remove: () => files.remove() });
  }

  /** Of the certificates it issues; another one per alternate chain. */
  async root(index = 0): Promise<string> {
    return (await this.#manage(`/roots/${index}`)).text;
  }

  async revocationStatus(serialNumber: string): Promise<string> {
    return (
      JSON.parse((await this.#manage(`/cert-status-by-serial/${serialNumber.toLowerCase()}`)).text) as {
        Status: string;
      }
    ).Status;
  }

  async #manage(path: string): Promise<{ status: number; text: string }> {
    return await getText(`${this.#managementUrl}${path}`, this.caPem);
  }

  async close(): Promise<void> {
    await this.program.close();
    this.#remove();
  }
}

/** Answers every A question with 127.0.0.1 and every TXT question with what it was told. */
export class ChallengeDns {
  /** `host:port`. */
  readonly address: string;
  readonly #program: Program;
  readonly #managementUrl: string;

  private constructor(program: Program, dnsPort: number, managementPort: number) {
    this.#program = program;
    this.address = `127.0.0.1:${dnsPort}`;
    this.#managementUrl = `http://127.0.0.1:${managementPort}`;
  }

  static async start(): Promise<ChallengeDns> {
    const off = ['-http01', '', '-https01', '', '-tlsalpn01', ''];
    const program = new Program({
      name: 'pebble-challtestsrv',
      command: installed('pebble-challtestsrv') ?? 'pebble-challtestsrv',
      args: [
        ...off,
        '-dns01',
        '127.0.0.1:0',
        '-management',
        '127.0.0.1:0',
        '-defaultIPv4',
        '127.0.0.1',
        '-defaultIPv6',
        '',
      ],
      stopSignal: 'SIGKILL',
    });
    // Its UDP and TCP sockets have different ports; the answers of these tests fit into UDP.
    const [dnsPort] = await until('pebble-challtestsrv listens', () => atLeast(1, listeningPorts(program.pid, 'udp')));
    const managementPort = await until('pebble-challtestsrv is managed', async () => {
      for (const port of listeningPorts(program.pid, 'tcp')) if (await answersHttp(port)) return port;
      return undefined;
    });
    return new ChallengeDns(program, dnsPort ?? 0, managementPort);
  }

  async setTxt(host: string, value: string): Promise<void> {
    await this.#post('/set-txt', { host: `${host}.`, value });
  }

  async clearTxt(host: string): Promise<void> {
    await this.#post('/clear-txt', { host: `${host}.` });
  }

  /** Makes a name lead elsewhere than to this machine. */
  async setA(host: string, addresses: readonly string[]): Promise<void> {
    await this.#post('/add-a', { host: `${host}.`, addresses });
  }

  async setCname(host: string, target: string): Promise<void> {
    await this.#post('/set-cname', { host: `${host}.`, target: `${target}.` });
  }

  async #post(path: string, body: unknown): Promise<void> {
    const answer = await fetch(`${this.#managementUrl}${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`pebble-challtestsrv: ${path} gave ${answer.status}`);
  }

  async close(): Promise<void> {
    await this.#program.close();
  }
}

/** Ports a process listens on, by the inodes of its sockets. */
export function listeningPorts(pid: number, kind: 'tcp' | 'udp'): number[] {
  const own = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/${pid}/fd/${fd}`))?.[1];
    if (inode !== undefined) own.add(inode);
  }
  const listening = kind === 'tcp' ? '0A' : '07';
  const ports: number[] = [];
  for (const file of [`/proc/${pid}/net/${kind}`, `/proc/${pid}/net/${kind}6`]) {
    for (const line of readFileSync(file, 'latin1').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] === listening && own.has(fields[9] ?? ''))
        ports.push(Number.parseInt(fields[1]?.split(':')[1] ?? '', 16));
    }
  }
  return ports;
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function atLeast(count: number, ports: number[]): number[] | undefined {
  return ports.length >= count ? ports : undefined;
}

async function answersHttp(port: number): Promise<boolean> {
  try {
    await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(2000) });
    return true;
  } catch {
    return false;
  }
}

function getText(url: string, ca: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    request(url, { ca, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    })
      .on('error', reject)
      .end();
  });
}
