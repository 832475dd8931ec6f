/**
 * `@porthole/agent`: put a local service, an `http.Server` or a fetch handler on a public address through a Porthole
 * relay. Start with `expose`.
 */
export { expose, type ExposeOptions } from './expose.ts';
export { Agent, type AgentLog, type AgentOptions, type LinkFactory, type TunnelOptions } from './agent.ts';
export { Tunnel, type TunnelEventMap } from './tunnel.ts';
export { claimsFor, type JointEvents, openJointTunnel, type Several } from './joint-tunnel.ts';
export type { ServedBy } from './served-by.ts';
export type { FetchHandler } from './fetch-origin.ts';
export { type HostHeader, hostHeaderProblem } from './host-rewriting.ts';
export type { ProxySettings } from './proxy-route.ts';
export { openRelayLink, type RelayLinkOptions } from './open-relay-link.ts';
export type { ConnectedInfo, LinkedTunnel, LinkEvents, RelayLink, TunnelClaim, TunnelEvents } from './relay-link.ts';
export { ORIGIN_PROTOCOLS, originFor, type OriginOptions, type OriginProtocol } from './origin-for.ts';
export type { Origin } from './origin.ts';
export { type OnOriginFailed, type OriginFailure, OriginFailures } from './origin-failures.ts';
export { RepeatFold, type RepeatPauses, type Repeats } from './repeat-fold.ts';
export { type OriginTrust, trustProblem } from './origin-trust.ts';
export { PROXY_VERSIONS, type ProxyVersion } from './proxy-header.ts';
export { VisitorServer } from './visitor-server.ts';
export { type OriginAddress, type OriginTarget, parseTarget } from './target.ts';
export {
  type ClaimedMessage,
  codeOfWire,
  decodeRequest,
  decodeResponse,
  encodeFields,
  encodeRequest,
  encodeResponse,
  errorRow,
  type ErrorCode,
  ERRORS,
  type ErrorRow,
  type ExchangeRequest,
  type ExchangeResponse,
  type Fields,
  PortholeError,
  type RawOpening,
  type Stream,
  type StreamSink,
  type TunnelProtocol,
} from '@porthole/protocol';
