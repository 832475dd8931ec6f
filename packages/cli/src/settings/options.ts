/**
 * Every option of the agent's command line and of `porthole.yml`, declared once: flag, key, environment name and
 * wording. The parser, the file's schema and the generated page all read this table.
 */

export type CommandName = 'http' | 'tcp' | 'tls' | 'serve' | 'start' | 'login' | 'wait';

export interface OptionRow {
  /** As commander reads it: `--name <name>`. Absent for what only the file has. */
  readonly flag?: string;
  /** Key in `porthole.yml`. Absent for what only the command line has. */
  readonly key?: string;
  readonly env?: string;
  /** What the key does, and the flag; one that begins with `--no-` does the opposite. */
  readonly help: string;
  readonly default?: string;
  /** May be given several times; a list in the file. */
  readonly repeats?: true;
  /** Commands that take it; `all` for every command. */
  readonly commands: 'all' | readonly CommandName[];
}

const NAMED = ['http', 'tls', 'serve'] as const;
const WEB = ['http', 'serve'] as const;

export const OPTIONS = {
  relay: {
    flag: '--relay <url>',
    key: 'relay',
    env: 'PORTHOLE_RELAY',
    help: 'the relay to use',
    default: 'the one logged in to last',
    commands: 'all',
  },
  tokenFile: {
    flag: '--token-file <file>',
    key: 'token_file',
    env: 'PORTHOLE_TOKEN_FILE',
    help: 'file that holds the token (or set PORTHOLE_TOKEN)',
    default: 'the token stored by login',
    commands: 'all',
  },
  config: {
    flag: '--config <file>',
    env: 'PORTHOLE_CONFIG',
    help: 'configuration file',
    default: 'porthole.yml, if there is one',
    commands: 'all',
  },
  caFile: {
    flag: '--ca-file <file>',
    key: 'ca_file',
    env: 'PORTHOLE_CA_FILE',
    help: 'more certificate authorities (PEM) to trust for the relay',
    commands: 'all',
  },
  logLevel: {
    flag: '--log-level <level>',
    key: 'log_level',
    env: 'PORTHOLE_LOG_LEVEL',
    help: 'how much is told: error, warn, info or debug (also each exchange, each try to connect, and stacks)',
    default: 'info',
    commands: 'all',
  },
  json: { flag: '--json', help: 'print one JSON object per line', commands: 'all' },
  tokenStdin: {
    flag: '--token-stdin',
    help: 'read the token from standard input, also where that is a terminal',
    commands: ['login'],
  },
  timeout: {
    flag: '--timeout <seconds>',
    help: 'how long to wait',
    default: '60',
    commands: ['wait'],
  },
  qr: {
    flag: '--qr',
    help: 'show the public address as a QR code as well',
    default: 'in a terminal, for https addresses',
    commands: [...WEB, 'start'],
  },
  noQr: { flag: '--no-qr', help: 'show a QR code', commands: [...WEB, 'start'] },

  http: {
    key: 'http',
    help: 'target of an HTTP tunnel: port, host:port, [::1]:port, http://…, https://…, grpc://…, grpcs://…, h2c://… or unix:/path',
    commands: ['start'],
  },
  tcp: { key: 'tcp', help: 'target of a TCP tunnel: port, host:port, [::1]:port or unix:/path', commands: ['start'] },
  tls: {
    key: 'tls',
    help: 'target of a TLS tunnel, which ends TLS by itself: port, host:port, [::1]:port or unix:/path',
    commands: ['start'],
  },
  serve: { key: 'serve', help: 'folder to serve, relative to the file', commands: ['start'] },
  name: {
    flag: '--name <name>',
    key: 'name',
    help: 'wanted name; given exactly or refused',
    default: 'a random one',
    commands: NAMED,
  },
  domain: {
    flag: '--domain <domain>',
    key: 'domain',
    help: "wanted domain: one of the relay's, or one of your own (the relay says which DNS record proves it); may be given several times, and then all are served or none",
    default: "the relay's first",
    repeats: true,
    commands: NAMED,
  },
  pool: {
    flag: '--pool',
    key: 'pool',
    help: 'share the name with your other agents that say so too',
    default: 'off',
    commands: NAMED,
  },
  hostHeader: {
    flag: '--host-header <mode>',
    key: 'host_header',
    help: 'preserve (as the visitor sent it), rewrite (to the target, redirects and cookies mapped back) or a value of your own',
    default: 'preserve',
    commands: ['http'],
  },
  basicAuth: {
    flag: '--basic-auth <user:password>',
    env: 'PORTHOLE_BASIC_AUTH',
    help: 'ask visitors for a user name and password; the environment or a file keep it out of `ps`; with start, the environment asks at each http and serve tunnel without a basic_auth_file',
    commands: WEB,
  },
  basicAuthFile: {
    flag: '--basic-auth-file <file>',
    key: 'basic_auth_file',
    help: 'the same, read from a file',
    commands: WEB,
  },
  originProtocol: {
    flag: '--origin-protocol <protocol>',
    key: 'origin_protocol',
    help: 'what the target speaks: http1, h2 (over TLS, else h2c) or auto (http1, and h2 for gRPC where the target has it)',
    default: 'auto; h2 for grpc://, grpcs:// and h2c://',
    commands: ['http'],
  },
  originVerify: {
    flag: '--origin-verify <how>',
    key: 'origin_verify',
    help: 'which certificate an https:// or grpcs:// target may show: on (of an authority, and for its name), off (any) or sha256:<fingerprint> (that one and no other)',
    default: 'on; off on loopback without --origin-ca-file',
    commands: ['http'],
  },
  originServerName: {
    flag: '--origin-server-name <name>',
    key: 'origin_server_name',
    help: 'name to ask the target for in TLS, which its certificate must be for',
    default: 'the host of the target',
    commands: ['http'],
  },
  originCaFile: {
    flag: '--origin-ca-file <file>',
    key: 'origin_ca_file',
    help: 'more certificate authorities (PEM) to trust for the target',
    commands: ['http'],
  },
  remotePort: {
    flag: '--remote-port <port>',
    key: 'remote_port',
    help: 'wanted public port; an HTTP tunnel then has that instead of a name, as it always has at a relay without a domain',
    default: 'any free one',
    commands: ['tcp', ...WEB],
  },
  clientCaFile: {
    flag: '--client-ca-file <file>',
    key: 'client_ca_file',
    help: 'let only visitors in who show a certificate of these authorities (PEM)',
    commands: WEB,
  },
  endToEnd: {
    flag: '--end-to-end',
    key: 'end_to_end',
    help: 'end TLS here, with a key and a certificate of your own; the relay sees ciphertext only',
    default: 'off',
    commands: WEB,
  },
  acmeDirectory: {
    flag: '--acme-directory <url>',
    key: 'acme_directory',
    env: 'PORTHOLE_ACME_DIRECTORY',
    help: 'certificate authority for --end-to-end, to whose terms you agree with it',
    default: 'Let’s Encrypt',
    commands: WEB,
  },
  acmeEmail: {
    flag: '--acme-email <address>',
    key: 'acme_email',
    help: 'where the certificate authority may write to',
    commands: WEB,
  },
  proxyProtocol: {
    flag: '--proxy-protocol <version>',
    key: 'proxy_protocol',
    help: 'v1 or v2: begin each connection to the target with a PROXY protocol header that names the visitor (HTTP: with --end-to-end, where the bytes inside then go on as they are)',
    default: 'none',
    commands: ['tcp', 'tls', 'http'],
  },
  listing: {
    flag: '--no-listing',
    key: 'listing',
    help: 'list a folder that has no index.html',
    default: 'on',
    commands: ['serve'],
  },
  dotfiles: {
    flag: '--dotfiles',
    key: 'dotfiles',
    help: 'serve names that begin with a dot as well',
    default: 'off',
    commands: ['serve'],
  },
} as const satisfies Record<string, OptionRow>;

export type OptionName = keyof typeof OPTIONS;

export function optionRow(name: OptionName): OptionRow {
  return OPTIONS[name];
}

/** For people who read of the flag alone. */
export function flagHelp({ flag, help }: OptionRow): string {
  return flag?.startsWith('--no-') === true ? `do not ${help}` : help;
}

/** For people who read of flag and key together. */
export function rowHelp(row: OptionRow): string {
  const isSwitchedOff = row.flag?.startsWith('--no-') === true;
  return isSwitchedOff && row.key !== undefined ? `${row.help}; the flag switches that off` : flagHelp(row);
}

/** Options that a command takes beside those that all take. */
export function optionsOf(command: CommandName): OptionName[] {
  return (Object.keys(OPTIONS) as OptionName[]).filter((name) => {
    const { commands, flag } = optionRow(name);
    return flag !== undefined && commands !== 'all' && commands.includes(command);
  });
}

/** Options of every command. */
export function sharedOptions(): OptionName[] {
  return (Object.keys(OPTIONS) as OptionName[]).filter((name) => optionRow(name).commands === 'all');
}
