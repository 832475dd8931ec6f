/** Names the numbers of the HTTPS door and of the certificates, for `/metrics`. Empty without https. */
import type { Reading } from './observe/metric-family.ts';
import type { MetricRow } from './observe/metrics.ts';
import type { TlsInsides } from './relay-tls.ts';
import type { TlsCounters } from './edge/tls-counters.ts';

export function tlsRows(tls: () => TlsInsides | undefined): MetricRow[] {
  const count = (pick: (counters: TlsCounters) => number) => (): Reading => {
    const of = tls();
    return of === undefined ? {} : pick(of.counters);
  };
  const perCertificate = (pick: (status: TlsInsides['certificates'][number]) => number | undefined) => (): Reading =>
    Object.fromEntries(
      (tls()?.certificates ?? []).flatMap((status) => {
        const value = pick(status);
        return value === undefined ? [] : [[status.id, value]];
      }),
    );
  return [
    ['porthole_tls_half_open', 'Connections whose TLS handshake is not through.', () => tls()?.halfOpen ?? {}],
    ['porthole_tls_accepted_total', 'Connections to the HTTPS address.', count((of) => of.acceptedTotal)],
    ['porthole_tls_handshakes_total', 'TLS handshakes completed.', count((of) => of.handshakesTotal)],
    ['porthole_tls_resumed_total', 'TLS handshakes with a session ticket.', count((of) => of.resumedHandshakesTotal)],
    ['porthole_tls_failed_total', 'TLS handshakes that failed.', count((of) => of.failedHandshakesTotal)],
    ['porthole_tls_passed_total', 'Connections passed on to a tunnel with TLS.', count((of) => of.passedThroughTotal)],
    [
      'porthole_tls_validations_total',
      'Connections of authorities that validate a name.',
      count((of) => of.challengesTotal),
    ],
    [
      'porthole_tls_bad_hellos_total',
      'Connections that began with something else than TLS.',
      count((of) => of.badHellosTotal),
    ],
    [
      'porthole_tls_late_hellos_total',
      'Connections whose ClientHello took too long.',
      count((of) => of.lateHellosTotal),
    ],
    [
      'porthole_tls_unknown_names_total',
      'Handshakes refused because nobody here has the name.',
      count((of) => of.unknownNamesTotal),
    ],
    [
      'porthole_tls_bad_proxy_headers_total',
      'Connections of load balancers without a valid PROXY header.',
      count((of) => of.badProxyHeadersTotal),
    ],
    [
      'porthole_certificate_expires_seconds',
      'When a certificate ends, in seconds since 1970.',
      perCertificate(({ notAfterMs }) => (notAfterMs === undefined ? undefined : Math.round(notAfterMs / 1000))),
      'certificate',
      'max',
    ],
    [
      'porthole_certificate_failures',
      'Orders of a certificate that failed since the last one that did not.',
      perCertificate(({ failures }) => failures),
      'certificate',
      'max',
    ],
  ];
}
