/** Decides which relay a command talks to, with which token, and where both came from. */
import { join } from 'node:path';
import { PortholeError } from '@porthole/agent';
import { readCertificates } from './certificates.ts';
import type { Credentials } from './credentials.ts';
import { findDevRelay } from './dev-relay.ts';
import { expandPath, readIfThere, readNeeded } from './files.ts';
import { configFromText, MAX_CONFIG_BYTES } from './config-file.ts';
import { LOG_LEVELS, type ConfigDocument, type LogLevel } from './config-schema.ts';
import { OPTIONS } from './options.ts';
import { parseRelayUrl } from './relay-url.ts';

/** What the command line says, as far as it concerns the relay. */
export interface RelayFlags {
  readonly relay?: string;
  readonly tokenFile?: string;
  readonly config?: string;
  readonly caFile?: string;
  readonly logLevel?: string;
}

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  readonly credentials: Credentials;
}

export interface RelayChoice {
  readonly relay: string;
  readonly token: string | undefined;
  /** Certificates of the extra file. */
  readonly ca: string | undefined;
  readonly logLevel: LogLevel;
  /** Worth telling when the relay was found and not named. */
  readonly note: string | undefined;
}

export interface LoadedConfig {
  readonly file: string;
  /** Folder that paths in the file are relative to. */
  readonly folder: string;
  readonly document: ConfigDocument;
}

export const DEFAULT_CONFIG_NAME = 'porthole.yml';
/** A file or pipe that holds more is not read further. */
export const MAX_TOKEN_BYTES = 64 * 1024;
/** Far more than any relay gives out, and what fits a handshake. */
const MAX_TOKEN_LENGTH = 1024;

/** The file named by flag or environment must be there; `porthole.yml` in the working folder may. */
export function loadConfig(flags: RelayFlags, around: Surroundings): LoadedConfig | undefined {
  const named = namedConfig(flags, around);
  const file = expandPath(named ?? DEFAULT_CONFIG_NAME, around.cwd, around.home);
  const source = named === undefined ? readIfThere(file, MAX_CONFIG_BYTES) : readNeeded(file, MAX_CONFIG_BYTES);
  if (source === undefined) return undefined;
  return { file, folder: join(file, '..'), document: configFromText(named ?? DEFAULT_CONFIG_NAME, source) };
}

function namedConfig(flags: RelayFlags, around: Surroundings): string | undefined {
  return flags.config ?? environment(around.env, OPTIONS.config.env);
}

/**
 * The relay of a command that does not run the file's tunnels. A `porthole.yml` that merely lies in the working folder
 * is asked last: a folder from elsewhere must not lead the traffic of somebody who is logged in to its own relay.
 */
export function chooseRelayOutsideFile(flags: RelayFlags, around: Surroundings): RelayChoice {
  if (namedConfig(flags, around) !== undefined) return chooseRelay(flags, loadConfig(flags, around), around);
  const known = flags.relay ?? environment(around.env, OPTIONS.relay.env) ?? around.credentials.last();
  if (known !== undefined) return chooseRelay(flags, undefined, around);
  const config = loadConfig(flags, around);
  const choice = chooseRelay(flags, config, around);
  return config?.document.relay === undefined
    ? choice
    : { ...choice, note: `using the relay that ${config.file} names (${choice.relay})` };
}

/** Flags before environment before file before what login stored before the relay of `npm start`. Throws CONFIG_INVALID, RELAY_MISSING, TOKEN_MALFORMED. */
export function chooseRelay(flags: RelayFlags, config: LoadedConfig | undefined, around: Surroundings): RelayChoice {
  const found = findRelay(flags, config, around);
  return {
    ...choiceFor(found.relay, findToken(flags, config, around, found), flags, config, around),
    note: found.note,
  };
}

/** The same for a relay and token that are known already (`porthole login`). */
export function choiceFor(
  relay: string,
  token: string | undefined,
  flags: RelayFlags,
  config: LoadedConfig | undefined,
  around: Surroundings,
): RelayChoice {
  const caFile = pathOption(flags.caFile, OPTIONS.caFile.env, config?.document.ca_file, config, around);
  return {
    relay,
    token,
    ca: caFile === undefined ? undefined : readCertificates(caFile),
    logLevel: logLevelOf(flags, config, around),
    note: undefined,
  };
}

interface FoundRelay {
  readonly relay: string;
  readonly token?: string | undefined;
  readonly note?: string;
}

function findRelay(flags: RelayFlags, config: LoadedConfig | undefined, around: Surroundings): FoundRelay {
  const named = flags.relay ?? environment(around.env, OPTIONS.relay.env) ?? config?.document.relay;
  if (named !== undefined) return { relay: parseRelayUrl(named) };
  const last = around.credentials.last();
  if (last !== undefined) return { relay: last };
  const dev = findDevRelay(around.cwd);
  if (dev !== undefined)
    return {
      relay: dev.relay,
      token: dev.token,
      note: `using the relay that npm start runs here (${dev.relay}, from ${dev.file})`,
    };
  throw new PortholeError('RELAY_MISSING');
}

function findToken(
  flags: RelayFlags,
  config: LoadedConfig | undefined,
  around: Surroundings,
  found: FoundRelay,
): string | undefined {
  if (flags.tokenFile !== undefined) return tokenFromFile(expandPath(flags.tokenFile, around.cwd, around.home));
  const direct = environment(around.env, 'PORTHOLE_TOKEN');
  if (direct !== undefined) return checkToken(direct, 'PORTHOLE_TOKEN');
  const file = pathOption(undefined, OPTIONS.tokenFile.env, config?.document.token_file, config, around);
  if (file !== undefined) return tokenFromFile(file);
  return found.token ?? around.credentials.token(found.relay) ?? devTokenFor(found.relay, around);
}

/** Somebody who names the development relay by its URL need not look its token up. */
function devTokenFor(relay: string, around: Surroundings): string | undefined {
  const dev = findDevRelay(around.cwd);
  return dev?.relay === relay ? dev.token : undefined;
}

function tokenFromFile(file: string): string {
  return checkToken(readNeeded(file, MAX_TOKEN_BYTES), file);
}

/** One line of printable characters; the message never repeats what it found. */
export function checkToken(text: string, where: string): string {
  const token = text.trim();
  if (token.length > MAX_TOKEN_LENGTH) throw new PortholeError('TOKEN_MALFORMED', `${where} holds more than a token`);
  if (token === '') throw new PortholeError('TOKEN_MALFORMED', `${where} is empty`);
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new PortholeError('TOKEN_MALFORMED', `${where} holds something that is not a token`);
  return token;
}

function logLevelOf(flags: RelayFlags, config: LoadedConfig | undefined, around: Surroundings): LogLevel {
  const asked = flags.logLevel ?? environment(around.env, OPTIONS.logLevel.env) ?? config?.document.log_level ?? 'info';
  const level = LOG_LEVELS.find((each) => each === asked);
  if (level === undefined)
    throw new PortholeError('CONFIG_INVALID', `the log level must be one of ${LOG_LEVELS.join(', ')}`);
  return level;
}

function pathOption(
  flag: string | undefined,
  env: string,
  inFile: string | undefined,
  config: LoadedConfig | undefined,
  around: Surroundings,
): string | undefined {
  const direct = flag ?? environment(around.env, env);
  if (direct !== undefined) return expandPath(direct, around.cwd, around.home);
  return inFile === undefined || config === undefined ? undefined : expandPath(inFile, config.folder, around.home);
}

/** An empty variable is one that is not set: that is how people switch one off for a single command. */
export function environment(env: Surroundings['env'], name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : value;
}
