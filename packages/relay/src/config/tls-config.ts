/** The part of the configuration that is about TLS: what the options mean together, and what does not go together. */
import { resolve } from 'node:path';
import type { AcmeConfig, DnsConfig, RelayConfig, TlsConfig } from './config.ts';
import type { ConfigFault } from './faults.ts';
import type { OptionPath, OptionValues } from './options.ts';

const DEFAULT_DIRECTORY = 'https://acme-v02.api.letsencrypt.org/directory';

type BaseDirFor = (path: OptionPath) => string;

export function tlsConfigOf(values: OptionValues, domain: string, baseDirFor: BaseDirFor): TlsConfig | undefined {
  if (values.https === 'off') return undefined;
  const base = baseDirFor('tls.certificates');
  return {
    listen: values.https,
    redirectHttp: values.redirect_http,
    certificates: values['tls.certificates'].map(({ cert, key }) => ({
      cert: resolve(base, cert),
      key: resolve(base, key),
    })),
    selfSigned: values['tls.self_signed'],
    acme: acmeConfigOf(values, baseDirFor),
    dns: dnsConfigOf(values, domain),
  };
}

function acmeConfigOf(values: OptionValues, baseDirFor: BaseDirFor): AcmeConfig | undefined {
  const email = values['acme.email'];
  const directory = values['acme.directory'];
  if (email === undefined && directory === undefined) return undefined;
  const kid = values['acme.eab_kid'];
  const hmacKeyFile = values['acme.eab_hmac_key_file'];
  const caFile = values['acme.ca_file'];
  return {
    directoryUrl: directory ?? DEFAULT_DIRECTORY,
    email,
    externalAccount:
      kid === undefined || hmacKeyFile === undefined
        ? undefined
        : { kid, hmacKeyFile: resolve(baseDirFor('acme.eab_hmac_key_file'), hmacKeyFile) },
    profile: values['acme.profile'],
    caFile: caFile === undefined ? undefined : resolve(baseDirFor('acme.ca_file'), caFile),
    challenge: values['acme.challenge'],
  };
}

function dnsConfigOf(values: OptionValues, domain: string): DnsConfig | undefined {
  const zone = values['dns.zone'];
  return zone === undefined
    ? undefined
    : { zone, listen: values['dns.listen'], nameServer: values['dns.name_server'] ?? domain };
}

export function* tlsFaults(
  config: RelayConfig,
  values: OptionValues,
  fault: (path: OptionPath, message: string) => ConfigFault,
): Iterable<ConfigFault> {
  if ((values['acme.eab_kid'] === undefined) !== (values['acme.eab_hmac_key_file'] === undefined))
    yield fault('acme.eab_kid', 'and `acme.eab_hmac_key_file` go together');
  const { tls } = config;
  if (tls === undefined) {
    if (values['tls.certificates'].length > 0 || values['acme.email'] !== undefined)
      yield fault('https', 'certificates are of no use without an address such as `https: ":443"`');
    return;
  }
  if (tls.acme === undefined && tls.certificates.length === 0 && !tls.selfSigned)
    yield fault(
      'https',
      'needs certificates: set `acme.email`, `tls.certificates`, or `tls.self_signed: true` to try things out',
    );
  if (tls.acme?.challenge === 'dns-01' && tls.dns === undefined)
    yield fault('acme.challenge', 'dns-01 needs `dns.zone`');
  if (tls.acme?.challenge === 'http-01' && !tls.redirectHttp)
    yield fault('acme.challenge', 'http-01 needs `redirect_http: true`: otherwise port 80 belongs to the tunnels');
  if (tls.listen.port !== 0 && tls.listen.port === config.http.port && tls.listen.host === config.http.host)
    yield fault('https', 'must differ from `http`');
}
