/** The command line: which commands there are, what they take. What they do is loaded only when they are called. */
import { PortholeError } from '@porthole/agent';
import { Command, CommanderError, Option } from 'commander';
import type { WaitFlags } from './commands/wait.ts';
import type { SharedFlags, TunnelFlags } from './flags.ts';
import type { TunnelKind } from './settings/config-schema.ts';
import { flagHelp, optionRow, optionsOf, sharedOptions, type OptionName } from './settings/options.ts';
import type { World } from './world.ts';

const PLACE_HELP = 'a port, host:port, [::1]:port or unix:/path';
const TARGET_HELP = 'a port, host:port, [::1]:port, http://…, https://…, grpc://…, grpcs://…, h2c://… or unix:/path';

/** Runs what the arguments say. Throws PortholeError, also for a command line that is not valid. */
export async function runProgram(args: readonly string[], world: World): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(world, async (work) => {
    exitCode = await work;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause;
    if (cause.exitCode === 0) return 0;
    throw new PortholeError('USAGE', usageText(cause), { cause });
  }
}

function usageText(cause: CommanderError): string {
  if (cause.code === 'commander.help') return 'a command is missing, for example: porthole http 3000';
  return cause.message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}

export function buildProgram(world: World, done: (work: Promise<number>) => Promise<void>): Command {
  const program = new Command('porthole')
    .description('A local port on a public address, through a relay you run yourself.')
    .version(world.version)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: (text) => world.stdout.write(text), writeErr: () => {} })
    .exitOverride()
    .helpCommand(false);
  for (const name of sharedOptions()) program.addOption(optionOf(name));
  program.allowExcessArguments(false);
  addTunnelCommands(program, world, done);
  addOtherCommands(program, world, done);
  return program;
}

function addTunnelCommands(program: Command, world: World, done: (work: Promise<number>) => Promise<void>): void {
  const add = (kind: TunnelKind, argument: string, what: string, description: string): void => {
    const command = program.command(kind).description(description).argument(`<${argument}>`, what);
    for (const name of optionsOf(kind)) command.addOption(optionOf(name));
    command.action(async (target: string) => {
      const { runTunnelCommand } = await import('./commands/tunnel.ts');
      await done(runTunnelCommand(kind, target, command.optsWithGlobals<TunnelFlags>(), world));
    });
  };
  add('http', 'target', TARGET_HELP, 'put a local HTTP service on a public address');
  add('tcp', 'target', PLACE_HELP, 'put a local TCP service on a public port');
  add('tls', 'target', PLACE_HELP, 'put a local TLS service on a public name; the relay passes TLS on as it is');
  add('serve', 'dir', 'the folder', 'put the files of a folder on a public address');
  const start = program
    .command('start [tunnels...]')
    .description('run the tunnels of porthole.yml, all or the named ones, over one link');
  for (const name of optionsOf('start')) start.addOption(optionOf(name));
  start.action(async (names: string[]) => {
    const { runStartCommand } = await import('./commands/start.ts');
    await done(runStartCommand(names, start.optsWithGlobals<TunnelFlags>(), world));
  });
}

function addOtherCommands(program: Command, world: World, done: (work: Promise<number>) => Promise<void>): void {
  const login = program.command('login <relay-url>').description('check a token with a relay and store it');
  for (const name of optionsOf('login')) login.addOption(optionOf(name));
  login.action(async (relay: string) => {
    const { runLogin } = await import('./commands/login.ts');
    await done(runLogin(relay, login.optsWithGlobals<SharedFlags & { tokenStdin?: boolean }>(), world));
  });
  const logout = program
    .command('logout [relay-url]')
    .description('forget the stored token of a relay (by default the last)');
  logout.action(async (relay: string | undefined) => {
    const { runLogout } = await import('./commands/logout.ts');
    await done(runLogout(relay, logout.optsWithGlobals<SharedFlags>(), world));
  });
  const status = program.command('status').description('show your agents that run on this machine');
  status.action(async () => {
    const { runStatus } = await import('./commands/status.ts');
    await done(runStatus(status.optsWithGlobals<SharedFlags>(), world));
  });
  const wait = program
    .command('wait [tunnel]')
    .description('wait until your tunnels on this machine stand, all or the named one, and print their addresses');
  for (const name of optionsOf('wait')) wait.addOption(optionOf(name));
  wait.action(async (tunnel: string | undefined) => {
    const { runWait } = await import('./commands/wait.ts');
    await done(runWait(tunnel, wait.optsWithGlobals<WaitFlags>(), world));
  });
  const doctor = program.command('doctor').description('check, step by step, the way from here to the relay and back');
  doctor.action(async () => {
    const { runDoctor } = await import('./commands/doctor.ts');
    await done(runDoctor(doctor.optsWithGlobals<SharedFlags>(), world));
  });
  const completion = program
    .command('completion <shell>')
    .description('print a completion script for bash, zsh or fish');
  completion.action(async (shell: string) => {
    const { runCompletion } = await import('./commands/completion.ts');
    await done(runCompletion(shell, program, world));
  });
}

function optionOf(name: OptionName): Option {
  const row = optionRow(name);
  const extra = [
    row.default === undefined ? '' : `default: ${row.default}`,
    row.env === undefined ? '' : `env: ${row.env}`,
  ].filter((text) => text !== '');
  const isSwitchedOff = row.flag?.startsWith('--no-') === true;
  const help = `${flagHelp(row)}${extra.length === 0 || isSwitchedOff ? '' : ` (${extra.join(', ')})`}`;
  const option = new Option(row.flag ?? `--${name}`, help);
  if (row.repeats === true)
    option.argParser((value, before: readonly string[] | undefined) => [...(before ?? []), value]);
  return option;
}
