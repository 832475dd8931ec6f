/** Reads the address of a relay as people write it. */
import { PortholeError } from '@porthole/agent';

/** Scheme, host and port only, as in `https://tunnel.example.com`; https when none is written. Throws CONFIG_INVALID. */
export function parseRelayUrl(text: string): string {
  const problem = relayUrlProblem(text);
  if (problem !== undefined) throw new PortholeError('CONFIG_INVALID', `the URL of the relay ${problem}`);
  return new URL(withScheme(text)).origin;
}

/** What is wrong with it, or undefined. Never repeats the text: it may hold a secret. */
export function relayUrlProblem(text: string): string | undefined {
  if (!URL.canParse(withScheme(text))) return 'is not a URL';
  const url = new URL(withScheme(text));
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'must begin with https:// or http://';
  if (url.username !== '' || url.password !== '') return 'must not hold a token; use `porthole login` or --token-file';
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') return 'must not have a path';
  return undefined;
}

/** Whether the relay is on this machine, so that nothing leaves it unencrypted. */
export function isLoopbackRelay(relay: string): boolean {
  const host = new URL(relay).hostname;
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function withScheme(text: string): string {
  const trimmed = text.trim();
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`;
}
