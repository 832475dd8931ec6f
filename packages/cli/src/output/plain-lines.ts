/** Events as plain lines, for pipes, logs and simple terminals. */
import type { ErrorCode } from '@porthole/agent';
import type { CliEvent } from './events.ts';

const SEEN = {
  same: 'Visitors are shown this certificate: looked at from outside.',
  other: 'VISITORS ARE SHOWN ANOTHER CERTIFICATE: something between them and here ends TLS. Do not trust this tunnel.',
  unreachable: 'Could not be looked at from outside from here; compare the fingerprint in a browser.',
} as const;

export function plainLines(event: CliEvent): string[] {
  switch (event.event) {
    case 'tunnel':
      return (event.urls ?? [event.url]).map(
        (url) => `${url} -> ${event.target}${event.tunnel === undefined ? '' : ` (${event.tunnel})`}`,
      );
    case 'connected':
      return [connectedLine(event)];
    case 'interrupted':
      return interruptedLines(event);
    case 'resumed':
      return [event.new_session ? 'Connected again, with a new session.' : 'Connected again.'];
    case 'refused':
      return [`${event.tunnel ?? event.target}: refused: ${event.message} [${event.code}]`, `  ${event.hint}`];
    case 'origin_failed':
      return originFailedLines(event);
    case 'exchange':
      return [`${labelOf(event)}${event.method} ${event.path} -> ${outcomeOf(event)}`];
    case 'visit':
      return [`${labelOf(event)}connection -> ${outcomeOf(event)}`];
    case 'note':
      return [event.message];
    case 'certificate':
      return [
        `${event.name}: certificate until ${event.until.slice(0, 10)}, SHA-256 ${event.fingerprint}`,
        `  ${SEEN[event.seen]}`,
      ];
    case 'closed':
      return ['Stopped.'];
    case 'error':
      return [...errorLines(event.message, event.code), `  ${event.hint}`];
  }
}

type EventOf<Kind extends CliEvent['event']> = Extract<CliEvent, { event: Kind }>;

function connectedLine({ carrier, resumed, rtt_ms: rttMs, relay_software: software }: EventOf<'connected'>): string {
  const away = rttMs === undefined ? '' : `, ${rttMs} ms away`;
  const relay = software === undefined ? '' : ` to ${software}`;
  return `Connected${relay}: ${resumed ? 'the session goes on' : 'a new session'}, carried by ${carrier}${away}.`;
}

/** What to do is said once; whoever reads the same again has read it. */
function interruptedLines({ message, code, hint, tries, next_try_ms: nextTryMs }: EventOf<'interrupted'>): string[] {
  const next = `Next try ${inWords(nextTryMs)}. [${code}]`;
  if (tries > 1) return [`Still no connection to the relay after ${tries} tries: ${message} ${next}`];
  return [`No connection to the relay: ${message} ${next}`, `  ${hint}`];
}

function originFailedLines(event: EventOf<'origin_failed'>): string[] {
  const line = `${event.tunnel ?? event.target}: ${event.message} [${event.code}]`;
  return event.times > 1 ? [`${line} (${event.times} times)`] : [line, `  ${event.hint}`];
}

function labelOf({ tunnel }: { readonly tunnel?: string }): string {
  return tunnel === undefined ? '' : `${tunnel}: `;
}

function outcomeOf({ status, code, ms }: { status?: number; code?: ErrorCode; ms: number }): string {
  const outcome = [status, code].filter((each) => each !== undefined).join(' ');
  return `${outcome === '' ? 'ended' : outcome} in ${ms} ms`;
}

/** A detail of many lines (the faults of a configuration file) is clearer below its sentence. */
function errorLines(message: string, code: string): string[] {
  const many = /^(.*?) \((.*\n.*)\)$/s.exec(message);
  if (many === null) return [`porthole: ${message} [${code}]`];
  return [`porthole: ${many[1]} [${code}]`, ...(many[2] ?? '').split('\n').map((line) => `  ${line}`)];
}

export function inWords(ms: number): string {
  return ms < 950 ? 'at once' : `in ${Math.round(ms / 1000)} s`;
}

/** What came from elsewhere (a relay's words, a folder's name) must not steer the terminal. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?');
}
