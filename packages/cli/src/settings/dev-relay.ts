/** The relay that `npm start` runs in a clone of this repository, found without any configuration. */
import { dirname, join } from 'node:path';
import { PortholeError } from '@porthole/agent';
import { z } from 'zod';
import { readIfThere } from './files.ts';
import { isLoopbackRelay, parseRelayUrl } from './relay-url.ts';

export interface DevRelay {
  readonly file: string;
  readonly relay: string;
  readonly token: string | undefined;
}

const schema = z.object({ relay: z.string(), token: z.string().optional() });

/** Looks for `data/dev-relay.json` in `folder` and upward. Only a relay on this machine counts: anybody could put such a file somewhere above. */
export function findDevRelay(folder: string): DevRelay | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const found = readDevRelay(join(at, 'data', 'dev-relay.json'));
    if (found !== undefined) return found;
    if (dirname(at) === at) return undefined;
  }
}

function readDevRelay(file: string): DevRelay | undefined {
  try {
    const text = readIfThere(file, 64 * 1024);
    if (text === undefined) return undefined;
    const { relay, token } = schema.parse(JSON.parse(text));
    const url = parseRelayUrl(relay);
    return isLoopbackRelay(url) ? { file, relay: url, token } : undefined;
  } catch (cause) {
    // A broken or foreign file somewhere above is no reason to fail; without it the command says what is missing.
    if (cause instanceof PortholeError || cause instanceof z.ZodError || cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}
