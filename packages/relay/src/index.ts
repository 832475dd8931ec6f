/** A relay inside another program: what `porthole-relay serve` is made of. */
export type { RelayConfig } from './config/config.ts';
export { type ConfigSources, type LoadedConfig, loadConfig } from './config/load-config.ts';
export { createLog, type Log, type LogDestination, SILENT_LOG } from './observe/log.ts';
export { Relay, type RelayAddresses, type RelayDeps } from './relay.ts';
