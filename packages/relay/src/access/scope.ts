/** What a token allows: name patterns (`shop`, `b-*`), port ranges and a number of tunnels. */
import { type PortRange, rangesInclude } from '../config/port-ranges.ts';

export interface Scope {
  /** Absent: any name. */
  readonly names?: readonly string[];
  /** Absent: any port the relay offers. */
  readonly ports?: readonly PortRange[];
  /** Absent: as many as the relay allows. */
  readonly maxTunnels?: number;
}

const NAME_PATTERN = /^(?=.{1,63}$)[a-z0-9-]*\*?[a-z0-9-]*$/;

/** Undefined for text that is not a comma-separated list of names, each with at most one `*`. */
export function parseNamePatterns(text: string): readonly string[] | undefined {
  const patterns = text.split(',').map((part) => part.trim().toLowerCase());
  return patterns.every((pattern) => NAME_PATTERN.test(pattern)) ? patterns : undefined;
}

export function allowsName(scope: Scope, name: string): boolean {
  return scope.names === undefined || scope.names.some((pattern) => matches(pattern, name));
}

export function allowsPort(scope: Scope, port: number): boolean {
  return scope.ports === undefined || rangesInclude(scope.ports, port);
}

/**
 * A name the scope allows for somebody who asked for none: the random one itself, the random one in place of a
 * pattern's `*`, or the first plain name; undefined when none of these fits.
 */
export function fitName(scope: Scope, random: string): string | undefined {
  if (scope.names === undefined || allowsName(scope, random)) return random;
  const pattern = scope.names.find((candidate) => candidate.includes('*'));
  if (pattern === undefined) return scope.names[0];
  const name = pattern.replace('*', random);
  return name.length <= 63 && !name.startsWith('-') && !name.endsWith('-') ? name : undefined;
}

/** `*` stands for at least one character. */
function matches(pattern: string, name: string): boolean {
  const star = pattern.indexOf('*');
  if (star === -1) return pattern === name;
  return (
    name.length >= pattern.length && name.startsWith(pattern.slice(0, star)) && name.endsWith(pattern.slice(star + 1))
  );
}
