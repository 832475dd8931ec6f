/** `porthole login`: takes a token from the keyboard or standard input, checks it with the relay, stores it. */
import { PortholeError } from '@porthole/agent';
import type { SharedFlags } from '../flags.ts';
import { expandPath, readNeeded } from '../settings/files.ts';
import { checkToken, choiceFor, MAX_TOKEN_BYTES } from '../settings/relay-choice.ts';
import { isLoopbackRelay, parseRelayUrl } from '../settings/relay-url.ts';
import { verifyRelay } from '../verify-relay.ts';
import { printLines, surroundings, type InputStream, type World } from '../world.ts';

export interface LoginFlags extends SharedFlags {
  readonly tokenStdin?: boolean;
}

export async function runLogin(relayText: string, flags: LoginFlags, world: World): Promise<number> {
  const relay = parseRelayUrl(relayText);
  const token = await readToken(relay, flags, world);
  const around = surroundings(world);
  await verifyRelay(choiceFor(relay, token, flags, undefined, around), world);
  around.credentials.store(relay, token);
  if (flags.json === true)
    await printLines(world.stdout, [JSON.stringify({ event: 'login', relay, file: around.credentials.path })]);
  else
    await printLines(world.stdout, [
      `Logged in to ${relay}. The token is stored in ${around.credentials.path}.`,
      ...warning(relay),
    ]);
  return 0;
}

function warning(relay: string): string[] {
  return relay.startsWith('http:') && !isLoopbackRelay(relay)
    ? [
        'This relay is reached without encryption: who listens on the way can read the token. Use https:// if it has it.',
      ]
    : [];
}

async function readToken(relay: string, flags: LoginFlags, world: World): Promise<string> {
  if (flags.tokenFile !== undefined) {
    const file = expandPath(flags.tokenFile, world.cwd, world.home);
    return checkToken(readNeeded(file, MAX_TOKEN_BYTES), file);
  }
  if (flags.tokenStdin === true || world.stdin.isTTY !== true)
    return checkToken(await readAll(world.stdin), 'standard input');
  return checkToken(await prompt(relay), 'what was typed');
}

async function readAll(stdin: InputStream): Promise<string> {
  let text = '';
  for await (const chunk of stdin) {
    text += String(chunk);
    if (text.length > MAX_TOKEN_BYTES)
      throw new PortholeError('TOKEN_MALFORMED', 'standard input holds more than a token');
  }
  return text;
}

async function prompt(relay: string): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts');
  const answer = await password({ message: `Token for ${relay}` });
  if (isCancel(answer)) throw new PortholeError('TOKEN_MALFORMED', 'none was given');
  return answer;
}
