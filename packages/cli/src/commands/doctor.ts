/** `porthole doctor`: walks the way from here to the relay and back, one step at a time, and says where it ends. */
import { PortholeError } from '@porthole/agent';
import { canary } from '../doctor/canary.ts';
import {
  answerText,
  certificateText,
  checkDns,
  checkProxy,
  checkTcp,
  clockText,
  lookAtRelay,
  type Look,
  proxyFor,
} from '../doctor/network-checks.ts';
import { exitCodeFor, StepProblem, warn } from '../doctor/problems.ts';
import type { SharedFlags } from '../flags.ts';
import { LineWriter } from '../output/line-writer.ts';
import { printable } from '../output/plain-lines.ts';
import { isLoopbackRelay } from '../settings/relay-url.ts';
import { chooseRelayOutsideFile, type RelayChoice } from '../settings/relay-choice.ts';
import { verifyRelay } from '../verify-relay.ts';
import { surroundings, type World } from '../world.ts';

const FLUSH_MS = 2000;

interface Step {
  readonly name: string;
  /** What was found; a PortholeError says that, and what to do. */
  readonly run: () => Promise<string> | string;
  /** Later steps make no sense when this one fails. */
  readonly decides: boolean;
}

interface StepResult {
  readonly step: string;
  readonly ok: boolean;
  readonly found: string;
  readonly code?: string;
  readonly hint?: string;
}

export async function runDoctor(flags: SharedFlags, world: World): Promise<number> {
  const around = surroundings(world);
  const choice = chooseRelayOutsideFile(flags, around);
  const writer = new LineWriter(world.stdout, () => '');
  let exitCode = 0;
  for (const step of stepsFor(choice, world)) {
    const { result, error } = await take(step);
    const lines = flags.json === true ? [JSON.stringify({ event: 'check', ...result })] : resultLines(result);
    writer.write(`${lines.map(printable).join('\n')}\n`);
    await writer.flush(FLUSH_MS);
    if (error === undefined || result.ok) continue;
    if (exitCode === 0) exitCode = exitCodeFor(error);
    if (step.decides) return exitCode;
  }
  return exitCode;
}

function stepsFor(choice: RelayChoice, world: World): Step[] {
  const url = new URL(choice.relay);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  // Behind a proxy the name may resolve, and the port open, for the proxy only.
  const direct: Step[] = [
    { name: 'name', decides: true, run: () => checkDns(host) },
    { name: 'port', decides: true, run: () => checkTcp(host, port) },
  ];
  let look: Look | undefined;
  const seen = (): Look => look as Look;
  return [
    { name: 'version', decides: false, run: () => `porthole ${world.version}` },
    {
      name: 'relay',
      decides: true,
      run: () => (choice.note === undefined ? choice.relay : `${choice.relay}: ${choice.note}`),
    },
    { name: 'proxy', decides: true, run: () => checkProxy(url, world.env) },
    ...(proxyFor(url, world.env) === undefined ? direct : []),
    {
      name: 'answer',
      decides: true,
      run: async () => {
        look = await lookAtRelay(url, choice.ca, world.env);
        return answerText(look, choice.relay);
      },
    },
    url.protocol === 'https:'
      ? { name: 'certificate', decides: true, run: () => certificateText(seen(), host, world.now()) }
      : { name: 'encryption', decides: false, run: () => encryption(choice.relay) },
    { name: 'clock', decides: false, run: () => clockText(seen(), world.now()) },
    { name: 'token', decides: true, run: () => checkSession(choice, world) },
    { name: 'canary', decides: false, run: () => canary(choice, world) },
  ];
}

function encryption(relay: string): string {
  if (isLoopbackRelay(relay)) return 'none, and none needed on this machine';
  throw warn('NO_ENCRYPTION', 'NONE');
}

async function checkSession(choice: RelayChoice, world: World): Promise<string> {
  const { carrier, rttMs, software } = await verifyRelay(choice, world);
  const token = choice.token === undefined ? 'none needed' : 'accepted';
  const away = rttMs === undefined ? '' : `, ${Math.round(rttMs)} ms away`;
  const text = `${token}; carried by ${carrier}${away}; ${software ?? 'a relay that does not say its version'}`;
  if (carrier === 'websocket') throw warn('WEBSOCKET_ONLY', text);
  const version = software?.split('/')[1];
  if (version !== undefined && release(version) !== release(world.version))
    throw warn('VERSION_DIFFERS', `${text}, here ${world.version}`);
  return text;
}

/** `0.1.7` -> `0.1`. */
function release(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

async function take(step: Step): Promise<{ result: StepResult; error?: PortholeError }> {
  try {
    return { result: { step: step.name, ok: true, found: await step.run() } };
  } catch (cause) {
    const error = cause instanceof PortholeError ? cause : new PortholeError('INTERNAL', String(cause), { cause });
    const particular = error instanceof StepProblem ? error : undefined;
    const found = particular?.text ?? error.message;
    const ok = particular?.isWarning ?? false;
    return { result: { step: step.name, ok, found, code: particular?.problem ?? error.code, hint: error.hint }, error };
  }
}

function resultLines({ step, ok, found, code, hint }: StepResult): string[] {
  const state = ok ? (code === undefined ? 'ok  ' : 'note') : 'FAIL';
  const line = `${state}  ${step.padEnd(11)}  ${found}${code === undefined ? '' : ` [${code}]`}`;
  return hint === undefined ? [line] : [line, `                   ${hint}`];
}
