/**
 * Every misconfiguration `porthole-relay doctor` can find: how bad it is, what it does, and what to do about it.
 * Codes never change their meaning, because scripts read them.
 */

export interface Problem {
  /** A fault keeps something from working; a warning is worth a look. Only faults make the exit code 1. */
  readonly state: 'fault' | 'warning';
  readonly cause: string;
  readonly remedy: string;
}

export const PROBLEMS = {
  CONFIG_INVALID: {
    state: 'fault',
    cause: 'The configuration is not valid, so nothing else was looked at.',
    remedy: 'Correct the places named.',
  },
  CONFIG_UNREADABLE: {
    state: 'fault',
    cause: 'The configuration file cannot be read, so nothing else was looked at.',
    remedy: 'Give the right path with --config, or make a file with `porthole-relay init`.',
  },
  CLOCK_OFF: {
    state: 'fault',
    cause: 'The clock of this machine is wrong: certificates and sessions will be refused.',
    remedy: 'Switch time synchronisation on: timedatectl set-ntp true.',
  },
  CLOCK_UNKNOWN: {
    state: 'warning',
    cause: 'The clock could not be compared.',
    remedy: 'Give --clock-url an address this machine can reach.',
  },
  FILE_LIMIT_LOW: {
    state: 'warning',
    cause: 'The limit of open files is lower than the visitors and agents the relay is set to take.',
    remedy: 'Raise it (LimitNOFILE= in the systemd unit, `ulimit -n` in a shell), or lower `limits.max_visitors`.',
  },
  DATA_UNUSABLE: {
    state: 'fault',
    cause: 'The data folder cannot be used.',
    remedy: 'Create it and give it to the user the relay runs as: chown -R porthole: <folder>.',
  },
  DATA_MIXED_OWNERS: {
    state: 'fault',
    cause: 'Files in the data folder belong to another user than the folder: a command was run as another user.',
    remedy: 'chown -R them to the owner of the folder, and run the commands as that user (sudo -u porthole …).',
  },
  DATA_EXPOSED: {
    state: 'warning',
    cause: 'Other users of this machine can read the data folder.',
    remedy: 'chmod 700 it: it holds hashes of tokens and private keys of certificates.',
  },
  STORE_FROM_NEWER: {
    state: 'fault',
    cause: 'The store was written by a newer release.',
    remedy: 'Update this one, or restore the backup from before the update.',
  },
  STORE_DAMAGED: {
    state: 'fault',
    cause: 'The store is damaged.',
    remedy: 'Stop the relay, move porthole.db, porthole.db-wal and porthole.db-shm away, and restore a backup.',
  },
  DISK_NEARLY_FULL: {
    state: 'fault',
    cause: 'The disk of the data folder is nearly full: leases, tokens and certificates will not be stored.',
    remedy: 'Free some space; the relay needs little, but none is too little.',
  },
  NO_TOKEN: {
    state: 'fault',
    cause: 'There is no token, so no agent can come in.',
    remedy: 'Make one: porthole-relay token add <user>.',
  },
  PORT_TAKEN: {
    state: 'fault',
    cause: 'A port the relay is to listen on is taken by another program.',
    remedy: 'Find it (ss -ltnp), stop it or put it behind, or give the relay another port.',
  },
  PORT_NOT_ALLOWED: {
    state: 'fault',
    cause: 'This user may not listen on a port below 1024.',
    remedy:
      'Start the relay from the systemd unit in deploy/, which may, or run: sysctl net.ipv4.ip_unprivileged_port_start=80.',
  },
  ADDRESS_NOT_HERE: {
    state: 'fault',
    cause: 'The relay is to listen on an address this machine does not have.',
    remedy: 'Use an address that `ip address` shows, or :port for all of them.',
  },
  TCP_PORTS_TAKEN: {
    state: 'fault',
    cause: 'Ports of `tcp.ports` are taken by other programs; a tunnel that gets one fails.',
    remedy: 'Move those programs, or leave their ports out of `tcp.ports`.',
  },
  TCP_PORTS_EPHEMERAL: {
    state: 'warning',
    cause: 'Ports of `tcp.ports` are among those the system uses for outgoing connections, and will be taken at times.',
    remedy: 'Choose ports outside that range, or reserve them: sysctl net.ipv4.ip_local_reserved_ports.',
  },
  TCP_ON_LOOPBACK: {
    state: 'fault',
    cause: 'The ports of `tcp.ports` are opened on a loopback address, where no visitor can reach them.',
    remedy: 'Set `tcp.address: 0.0.0.0`: without it the ports are opened on the address of `http`.',
  },
  NO_PORTS: {
    state: 'fault',
    cause: 'The relay has no domain, so that tunnels get ports instead of names, and there are none to give.',
    remedy: 'Set `tcp.ports`, such as 20000-20099, and open them in the firewall.',
  },
  ADMIN_EXPOSED: {
    state: 'warning',
    cause: 'The admin address, which asks for no password, can be reached from other machines.',
    remedy: 'Set `admin: 127.0.0.1:9464`, or see that only a private network reaches it.',
  },
  DOMAIN_UNUSABLE: {
    state: 'fault',
    cause: 'The domain cannot have subdomains of yours.',
    remedy: 'Use a domain you own, or a subdomain of it, such as tunnel.example.com.',
  },
  PUBLIC_URL_MISSING: {
    state: 'warning',
    cause: 'The relay listens on loopback and does not know the URL of what stands in front of it.',
    remedy: 'Set `public_url: https://<domain>`, so that the URLs printed are right.',
  },
  RESOLVER_UNREACHABLE: {
    state: 'warning',
    cause: 'No name server answered, so the DNS records were not checked.',
    remedy: 'See that /etc/resolv.conf names a resolver this machine can reach.',
  },
  DNS_MISSING: {
    state: 'fault',
    cause: 'The domain has no address.',
    remedy: 'Make an A record (and an AAAA record, if this machine has IPv6) that leads to this machine.',
  },
  DNS_WRONG_ADDRESS: {
    state: 'fault',
    cause: 'The domain leads to another machine.',
    remedy: 'Correct the A or AAAA record named; remove an AAAA record if this machine has no IPv6.',
  },
  WILDCARD_MISSING: {
    state: 'fault',
    cause: 'Subdomains have no address, so no tunnel can be reached.',
    remedy: 'Make a record for * (the wildcard) below the domain, to the same address.',
  },
  WILDCARD_WRONG_ADDRESS: {
    state: 'fault',
    cause: 'Subdomains lead to another machine than the domain.',
    remedy: 'Give the record for * the address of this machine.',
  },
  DELEGATION_MISSING: {
    state: 'fault',
    cause: 'The zone in which this relay proves wildcard certificates is not delegated to it.',
    remedy: 'Make the record named, at whoever runs the DNS of the domain.',
  },
  ADDRESS_UNCERTAIN: {
    state: 'warning',
    cause:
      'The domain leads to an address this machine does not show: right behind a router or a cloud address, wrong otherwise.',
    remedy: 'Compare it with the public address your provider shows.',
  },
  NOT_REACHABLE: {
    state: 'fault',
    cause: 'The public address does not answer: a firewall, a missing port forwarding, or nothing that listens.',
    remedy: 'Open the port in the firewall of the machine and of the provider, and forward it if there is a router.',
  },
  ANOTHER_SERVER: {
    state: 'fault',
    cause: 'Something else than this relay answers at the public address.',
    remedy: 'Send the domain and its subdomains to the address of `http` there; deploy/ has examples.',
  },
  CERTIFICATE_EXPIRED: {
    state: 'fault',
    cause: 'The certificate served has expired.',
    remedy: 'Renew it, and see why it was not renewed by itself (ports 80 and 443, DNS, the log).',
  },
  CERTIFICATE_EXPIRES_SOON: {
    state: 'warning',
    cause: 'The certificate served expires within two weeks.',
    remedy: 'See why it was not renewed yet.',
  },
  CERTIFICATE_WRONG_NAME: {
    state: 'fault',
    cause: 'The certificate served is for other names.',
    remedy: 'Get one for the domain and for *.<domain>; a certificate for the domain alone does not cover tunnels.',
  },
  CERTIFICATE_UNTRUSTED: {
    state: 'fault',
    cause: 'The certificate served is not from an authority this machine knows.',
    remedy: 'Serve the whole chain; with an authority of your own, visitors need it, and agents --ca-file.',
  },
  CERTIFICATE_UNUSABLE: {
    state: 'fault',
    cause: 'A certificate or key of `tls.certificates` cannot be used.',
    remedy: 'Check that the files are PEM, belong together, and can be read by the user the relay runs as.',
  },
  TLS_FAILED: {
    state: 'fault',
    cause: 'The public address does not speak TLS for this domain.',
    remedy: 'Set up TLS there, or correct the scheme of `public_url`.',
  },
  FRONT_BLOCKS_AGENTS: {
    state: 'fault',
    cause: 'What stands in front passes no upgrade on, so agents cannot come in.',
    remedy:
      'Pass the Upgrade and Connection fields on, over HTTP/1.1; deploy/ has examples for nginx, Caddy, HAProxy and Traefik.',
  },
  FRONT_WITHOUT_UPGRADE: {
    state: 'warning',
    cause:
      'What stands in front passes WebSockets on but not `Upgrade: porthole`: agents fall back to WebSocket, which costs some speed.',
    remedy: 'Pass every value of Upgrade on, as the examples in deploy/ do.',
  },
  FRONT_REWRITES_HOST: {
    state: 'fault',
    cause: 'What stands in front changes the Host field, so the relay cannot tell tunnels apart.',
    remedy: 'Pass it on as it is: proxy_set_header Host $host (nginx), nothing to do in Caddy and HAProxy.',
  },
  FRONT_NOT_FORWARDING: {
    state: 'fault',
    cause: 'What stands in front does not say who the visitor is: every visitor has its address.',
    remedy: 'Set X-Forwarded-For and X-Forwarded-Proto there; deploy/ has examples.',
  },
  FRONT_WRONG_SCHEME: {
    state: 'fault',
    cause: 'What stands in front does not say that visitors come over https: applications redirect for ever.',
    remedy: 'Set X-Forwarded-Proto to the scheme there; deploy/ has examples.',
  },
  FRONT_NOT_TRUSTED: {
    state: 'fault',
    cause: 'What stands in front is not among `trusted_proxies`, so the relay does not believe whom it names.',
    remedy: 'Add the address named to `trusted_proxies`.',
  },
} as const satisfies Record<string, Problem>;

export type ProblemCode = keyof typeof PROBLEMS;

export type Finding =
  | { readonly state: 'ok' | 'skipped'; readonly text: string }
  | {
      readonly state: 'fault' | 'warning';
      readonly code: ProblemCode;
      /** What in particular. */
      readonly text: string;
      readonly cause: string;
      readonly remedy: string;
    };

export const ok = (text: string): Finding => ({ state: 'ok', text });
export const skipped = (text: string): Finding => ({ state: 'skipped', text });

export function problem(code: ProblemCode, text: string): Finding {
  return { code, text, ...PROBLEMS[code] };
}
