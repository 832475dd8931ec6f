/** Names of tunnels: what a valid one is, and memorable ones for those who ask for none. */
import { ADJECTIVES, NOUNS } from './name-words.ts';

export type ParsedName =
  | { readonly ok: true; readonly name: string }
  | { readonly ok: false; readonly code: 'NAME_INVALID'; readonly detail: string };

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A name as one label of a host name (RFC 1123 section 2.1), in lower case, because DNS does not tell the cases apart.
 * Labels with `--` in the third and fourth place are refused: browsers show them as something else (RFC 5890
 * section 2.3.1), so that one name could be made to look like another.
 */
export function parseName(text: string): ParsedName {
  const name = text.toLowerCase();
  // Some letters beyond ASCII have a lower case within it (the Kelvin sign): they are not what was asked for.
  if (!LABEL.test(name) || !/^[\x21-\x7e]+$/.test(text)) return invalid(text);
  if (name.startsWith('--', 2)) return invalid(text, 'no -- in the third and fourth place');
  return { ok: true, name };
}

function invalid(text: string, why?: string): ParsedName {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  return { ok: false, code: 'NAME_INVALID', detail: why === undefined ? shown : `${shown}: ${why}` };
}

/** How many two-word names there are. */
export const RANDOM_NAME_COUNT = ADJECTIVES.length * NOUNS.length;

const PLAIN_TRIES = 12;
const NUMBERED_TRIES = 12;

/** `brave-otter`; with a number behind it once many of the plain ones are taken. */
export class RandomNames {
  readonly #random: () => number;

  /** `random`: as Math.random. Names are public, so they need not be hard to guess. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  next(): string {
    return `${this.#pick(ADJECTIVES)}-${this.#pick(NOUNS)}`;
  }

  /** The first that `isFree`; undefined when none of a good many was. */
  nextFree(isFree: (name: string) => boolean): string | undefined {
    for (let tries = 0; tries < PLAIN_TRIES + NUMBERED_TRIES; tries += 1) {
      const plain = this.next();
      const name = tries < PLAIN_TRIES ? plain : `${plain}-${1000 + Math.floor(this.#random() * 9000)}`;
      if (isFree(name)) return name;
    }
    return undefined;
  }

  #pick(words: readonly string[]): string {
    return words[Math.floor(this.#random() * words.length)] as string;
  }
}
