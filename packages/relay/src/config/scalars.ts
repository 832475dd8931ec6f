/** The types of options: how each is read from text or from a YAML value, and how it is printed again. */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import type { CertificatePair, ListenAddress, PublicUrl } from './config.ts';
import { formatPortRanges, parsePortRanges, type PortRange } from './port-ranges.ts';

/** What a YAML scalar, an environment variable or a flag brings. */
const scalar = z.union([z.string(), z.number(), z.boolean()], { error: 'must be a single value' });

export interface OptionType<T> {
  /** For the documentation: `duration`, `host:port`. */
  readonly name: string;
  readonly schema: z.ZodType<T>;
  /** The way back, in a form `schema` reads; lists as lists. */
  readonly print: (value: T) => string | number | boolean | readonly string[];
}

/** `read` returns undefined for what it cannot take; then `expected` says what it would. */
function scalarType<T extends NonNullable<unknown>>(
  name: string,
  expected: string,
  read: (text: string) => T | undefined,
  print: OptionType<T>['print'],
): OptionType<T> {
  const schema = scalar.transform((value, context) => {
    const result = read(String(value).trim());
    if (result !== undefined) return result;
    context.addIssue({ code: 'custom', message: `${JSON.stringify(value)} is not ${expected}` });
    return z.NEVER;
  });
  return { name, schema, print };
}

export function choice<const T extends string>(...choices: readonly T[]): OptionType<T> {
  const read = (text: string): T | undefined => choices.find((candidate) => candidate === text);
  return scalarType(choices.join(' \\| '), `one of ${choices.join(', ')}`, read, (value) => value);
}

export const yesNo: OptionType<boolean> = scalarType(
  'true \\| false',
  'true or false',
  (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
  (value) => value,
);

export function count(min: number, max: number): OptionType<number> {
  return scalarType(
    'number',
    `a whole number from ${min} to ${max}`,
    (text) => (/^\d{1,15}$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined),
    (value) => value,
  );
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 };

export function size(min: number, max: number): OptionType<number> {
  return scalarType(
    'size',
    `a size such as 64KiB, from ${printSize(min)} to ${printSize(max)}`,
    (text) => {
      const match = /^(\d{1,12}) ?(b|kib|mib|gib|)$/.exec(text.toLowerCase());
      const bytes = match === null ? Number.NaN : Number(match[1]) * (SIZE_UNITS[match[2] ?? ''] ?? Number.NaN);
      return bytes >= min && bytes <= max ? bytes : undefined;
    },
    printSize,
  );
}

function printSize(bytes: number): string {
  if (bytes > 0 && bytes % 1024 ** 2 === 0) return `${bytes / 1024 ** 2}MiB`;
  return bytes > 0 && bytes % 1024 === 0 ? `${bytes / 1024}KiB` : `${bytes}B`;
}

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export interface DurationOptions {
  readonly minMs: number;
  readonly maxMs: number;
  /** `off` is 0 in code. */
  readonly mayBeOff?: boolean;
}

/** In code: milliseconds. A bare number is refused, because half of the world reads it as seconds. */
export function duration({ minMs, maxMs, mayBeOff = false }: DurationOptions): OptionType<number> {
  const off = mayBeOff ? ', or off' : '';
  return scalarType(
    mayBeOff ? 'duration \\| off' : 'duration',
    `a duration with a unit (ms, s, m, h) from ${printDuration(minMs)} to ${printDuration(maxMs)}${off}`,
    (text) => {
      if (mayBeOff && text === 'off') return 0;
      const match = /^(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|m|h)$/.exec(text);
      const ms =
        match === null ? Number.NaN : Math.round(Number(match[1]) * (TIME_UNITS[match[2] ?? ''] ?? Number.NaN));
      return ms >= minMs && ms <= maxMs ? ms : undefined;
    },
    (ms) => (mayBeOff && ms === 0 ? 'off' : printDuration(ms)),
  );
}

function printDuration(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    const length = TIME_UNITS[unit] as number;
    if (ms > 0 && ms % length === 0) return `${ms / length}${unit}`;
  }
  return `${ms}ms`;
}

export const text: OptionType<string> = scalarType(
  'path',
  'a path',
  (value) => (value === '' ? undefined : value),
  (value) => value,
);

const LISTEN = 'an address such as 127.0.0.1:8080, [::1]:8080 or :8080';

export const listenAddress: OptionType<ListenAddress> = scalarType(
  'address',
  LISTEN,
  readListenAddress,
  printListenAddress,
);

/** `off` is null in code. */
export const listenAddressOrOff: OptionType<ListenAddress | 'off'> = scalarType<ListenAddress | 'off'>(
  'address \\| off',
  `${LISTEN}, or off`,
  (value) => (value === 'off' ? 'off' : readListenAddress(value)),
  (value) => (value === 'off' ? value : printListenAddress(value)),
);

const HOST_NAME = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

function readListenAddress(value: string): ListenAddress | undefined {
  const match = /^(?:\[(?<six>[0-9a-fA-F:.]+)\]|(?<host>[^:[\]]*)):(?<port>\d{1,5})$|^(?<bare>\d{1,5})$/.exec(value);
  if (match?.groups === undefined) return undefined;
  const { six, host, port, bare } = match.groups;
  const number = Number(port ?? bare);
  if (number > 65_535) return undefined;
  if (six !== undefined) return isIPv6(six) ? { host: six, port: number } : undefined;
  if (host === undefined || host === '' || host === '*') return { port: number };
  return isHost(host) ? { host: host.toLowerCase(), port: number } : undefined;
}

/** Names of digits and dots alone would be mistyped IPv4 addresses. */
function isHost(host: string): boolean {
  return isIPv4(host) || (HOST_NAME.test(host.toLowerCase()) && !/^[\d.]+$/.test(host));
}

export function printListenAddress({ host, port }: ListenAddress): string {
  if (host === undefined) return `:${port}`;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export const ipAddress: OptionType<string> = scalarType(
  'IP address',
  'an IP address',
  (value) => (isIP(value) === 0 ? undefined : value),
  (value) => value,
);

export const domainName: OptionType<string> = scalarType(
  'host name',
  'a domain such as tunnel.example.com (without scheme, port, path or *)',
  (value) => {
    const name = value.toLowerCase().replace(/\.$/, '');
    return HOST_NAME.test(name) && !/^[\d.]+$/.test(name) ? name : undefined;
  },
  (value) => value,
);

/** As a domain, with labels that begin with `_` as well. */
export const zoneName: OptionType<string> = scalarType(
  'zone',
  'a zone such as _acme-challenge.tunnel.example.com',
  (value) => {
    const name = value.toLowerCase().replace(/\.$/, '');
    return HOST_NAME.test(name.replaceAll(/(^|\.)_/g, '$1')) && name.includes('.') ? name : undefined;
  },
  (value) => value,
);

/** A relay without a domain is known by its address; tunnels then get ports. */
export const domainOrAddress: OptionType<string> = scalarType(
  'host name or IP address',
  'a domain such as tunnel.example.com (without scheme, port, path or *), or the public IP address of a relay that has none',
  (value) => {
    const bare = value.replace(/^\[(.*)\]$/, '$1').toLowerCase();
    if (isIP(bare) !== 0) return bare;
    const name = bare.replace(/\.$/, '');
    return HOST_NAME.test(name) && !/^[\d.]+$/.test(name) ? name : undefined;
  },
  (value) => value,
);

export const secureUrl: OptionType<string> = scalarType(
  'URL',
  'an https URL',
  (value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const isLocal = url?.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
    return url?.protocol === 'https:' || isLocal ? value : undefined;
  },
  (value) => value,
);

export const email: OptionType<string> = scalarType(
  'e-mail address',
  'an e-mail address',
  (value) => (/^[^\s@<>]+@[^\s@<>]+$/.test(value) ? value : undefined),
  (value) => value,
);

export const word: OptionType<string> = scalarType(
  'text',
  'one word',
  (value) => (/^[\x21-\x7e]{1,256}$/.test(value) ? value : undefined),
  (value) => value,
);

const pairMapping = z.strictObject(
  { cert: z.string().min(1), key: z.string().min(1) },
  { error: 'must be { cert: file, key: file }' },
);

/** In the file `{ cert: chain.pem, key: key.pem }`; as text `chain.pem:key.pem`. */
export const certificatePair: OptionType<CertificatePair> = {
  name: 'certificate and key',
  schema: z.preprocess((value) => {
    const match = typeof value === 'string' ? /^([^:]+):([^:]+)$/.exec(value) : null;
    return match === null ? value : { cert: match[1], key: match[2] };
  }, pairMapping),
  print: ({ cert, key }) => `${cert}:${key}`,
};

export const addressBlock: OptionType<string> = scalarType(
  'IP address or CIDR block',
  'an IP address or a block such as 10.0.0.0/8',
  (value) => {
    const [address = '', bits, ...rest] = value.split('/');
    const family = isIP(address);
    if (family === 0 || rest.length > 0) return undefined;
    if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))) return undefined;
    return value;
  },
  (value) => value,
);

/** As a YAML list, or as one text with commas, which is the only form for the environment and flags. */
export function list<T>(item: OptionType<T>, max: number): OptionType<readonly T[]> {
  const schema = z.preprocess(
    (value) =>
      typeof value === 'string'
        ? value
            .split(',')
            .map((part) => part.trim())
            .filter((part) => part !== '')
        : value,
    z.array(item.schema, { error: 'must be a list' }).max(max, { error: `at most ${max}` }),
  );
  return { name: `list of ${item.name}`, schema, print: (values) => values.map((value) => String(item.print(value))) };
}

export const portRanges: OptionType<readonly PortRange[]> = scalarType<readonly PortRange[]>(
  'port ranges',
  'ports and port ranges such as 7000-7010,8000, or off',
  (value) => (value === 'off' ? [] : parsePortRanges(value)),
  (ranges) => (ranges.length === 0 ? 'off' : formatPortRanges(ranges)),
);

export const publicUrl: OptionType<PublicUrl> = scalarType(
  'URL',
  'a URL of scheme, host and port only, such as https://tunnel.example.com',
  (value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const scheme = url?.protocol === 'https:' ? 'https' : url?.protocol === 'http:' ? 'http' : undefined;
    if (
      url === undefined ||
      scheme === undefined ||
      url.origin !==
        value
          .toLowerCase()
          .replace(/\/$/, '')
          .replace(scheme === 'https' ? /:443$/ : /:80$/, '')
    )
      return undefined;
    const port = url.port === '' ? (scheme === 'https' ? 443 : 80) : Number(url.port);
    return { scheme, host: url.hostname.replace(/^\[|\]$/g, ''), port };
  },
  ({ scheme, host, port }) => `${scheme}://${host}${port === (scheme === 'https' ? 443 : 80) ? '' : `:${port}`}`,
);
