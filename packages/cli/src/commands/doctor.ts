/** `porthole doctor`: walks the way from here to the relay and back, one step at a time, and says where it ends. */
import { PortholeError } from '@porthole/agent';
import { canary } from '../doctor/canary.ts';
import { checkDns, checkPlainHttp, checkTcp, checkTls, proxyText } from '../doctor/network-checks.ts';
import type { SharedFlags } from '../flags.ts';
import { exitCodeOf } from '../run-tunnels.ts';
import { chooseRelayOutsideFile, type RelayChoice } from '../settings/relay-choice.ts';
import { verifyRelay } from '../verify-relay.ts';
import { printLines, surroundings, type World } from '../world.ts';

interface Step {
  readonly name: string;
  /** What was found; a PortholeError says that, and what to do. */
  readonly run: () => Promise<string>;
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
  let exitCode = 0;
  for (const step of stepsFor(choice, world)) {
    const { result, error } = await take(step);
    await printLines(
      world.stdout,
      flags.json === true ? [JSON.stringify({ event: 'check', ...result })] : resultLines(result),
    );
    if (error === undefined) continue;
    if (exitCode === 0) exitCode = exitCodeOf(error.code);
    if (step.decides) return exitCode;
  }
  return exitCode;
}

function stepsFor(choice: RelayChoice, world: World): Step[] {
  const url = new URL(choice.relay);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port);
  const proxy = proxyText(url, world.env);
  const direct: Step[] = [
    { name: 'name', decides: true, run: () => checkDns(host) },
    { name: 'port', decides: true, run: () => checkTcp(host, port) },
    url.protocol === 'https:'
      ? { name: 'certificate', decides: false, run: () => checkTls(host, port, choice.ca) }
      : { name: 'encryption', decides: false, run: () => checkPlainHttp(choice.relay) },
  ];
  return [
    {
      name: 'relay',
      decides: true,
      run: () => Promise.resolve(choice.note === undefined ? choice.relay : `${choice.relay}: ${choice.note}`),
    },
    { name: 'proxy', decides: false, run: () => Promise.resolve(proxy ?? 'none') },
    // Behind a proxy the name may resolve, and the port open, for the proxy only.
    ...(proxy === undefined ? direct : []),
    { name: 'token', decides: true, run: () => checkSession(choice, world) },
    { name: 'canary', decides: false, run: () => canary(choice, world) },
  ];
}

async function checkSession(choice: RelayChoice, world: World): Promise<string> {
  const { carrier, rttMs } = await verifyRelay(choice, world);
  const token = choice.token === undefined ? 'none needed' : 'accepted';
  return `${token}; carried by ${carrier}${rttMs === undefined ? '' : `, ${Math.round(rttMs)} ms away`}`;
}

async function take(step: Step): Promise<{ result: StepResult; error?: PortholeError }> {
  try {
    return { result: { step: step.name, ok: true, found: await step.run() } };
  } catch (cause) {
    const error = cause instanceof PortholeError ? cause : new PortholeError('INTERNAL', String(cause), { cause });
    return { result: { step: step.name, ok: false, found: error.message, code: error.code, hint: error.hint }, error };
  }
}

function resultLines(result: StepResult): string[] {
  const line = `${result.ok ? 'ok  ' : 'FAIL'}  ${result.step.padEnd(11)}  ${result.found}`;
  return result.hint === undefined ? [line] : [line, `                   ${result.hint}`];
}
