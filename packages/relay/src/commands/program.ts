/** The command line of `porthole-relay`: which commands there are and what they take. Each is loaded when it is called. */
import { PortholeError } from '@porthole/protocol';
import { Command, CommanderError, Option } from 'commander';
import { flagName, OPTION_PATHS, type OptionPath, optionAt } from '../config/options.ts';
import type { Flags } from './settle.ts';
import type { ServeWorld, World } from './world.ts';

/** Runs what the arguments say; gives the exit code. Throws PortholeError, also for arguments that are not valid. */
export async function runProgram(args: readonly string[], world: ServeWorld): Promise<number> {
  const run: Run = { exitCode: 0 };
  try {
    await buildProgram(world, run).parseAsync(args, { from: 'user' });
    return run.exitCode;
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause;
    if (cause.exitCode === 0) return 0;
    throw new PortholeError('USAGE', usageText(cause), { cause });
  }
}

interface Run {
  exitCode: number;
}

function buildProgram(world: ServeWorld, run: Run): Command {
  const program = new Command('porthole-relay')
    .description('The public side of a self-hosted tunnel.')
    .version(world.version)
    .configureOutput({ writeOut: (text) => world.out(text), writeErr: () => {} })
    .exitOverride()
    .helpCommand(false)
    .allowExcessArguments(false);
  addRelayCommands(program, world, run);
  addTokenCommands(program, world);
  addNameCommands(program, world);
  return program;
}

function addRelayCommands(program: Command, world: ServeWorld, run: Run): void {
  withOptions(program.command('serve').description('run the relay'), OPTION_PATHS).action(async (flags: Flags) => {
    const { serve } = await import('./serve.ts');
    run.exitCode = await serve(flags, world);
  });
  withOptions(program.command('worker', { hidden: true }), OPTION_PATHS).action(async (flags: Flags) => {
    const { work } = await import('./worker.ts');
    run.exitCode = await work(flags, world);
  });
  withStore(
    program.command('reload').description('replace the processes of a running relay; nobody is cut off'),
  ).action(async (flags: Flags) => {
    const { reload } = await import('./reload.ts');
    run.exitCode = await reload(flags, world);
  });
  withOptions(program.command('config').description('print the configuration in effect'), OPTION_PATHS).action(
    async (flags: Flags) => {
      const { showConfig } = await import('./show-config.ts');
      showConfig(flags, world);
    },
  );
  withOptions(
    program
      .command('doctor')
      .description('look for what keeps the relay from working, and say what to do about it')
      .option('--json', 'as JSON')
      .option('--clock-url <url>', 'compare the clock with the answer of this web server'),
    OPTION_PATHS,
  ).action(async (flags: Flags) => {
    const { doctor } = await import('./doctor.ts');
    run.exitCode = await doctor(flags, world);
  });
  withStore(program.command('backup').description('copy the store into one file; the relay may run meanwhile'))
    .argument('<file>', 'file to write; it must not exist')
    .action(async (file: string, flags: Flags) => (await import('./backup.ts')).backup(file, flags, world));
  program
    .command('init')
    .description('write a configuration file, make the first token, and say what is left to do')
    .option('--config <file>', 'file to write', 'relay.yml')
    .option('--force', 'overwrite the file')
    .option('--domain <domain>', help('domain'))
    .option('--email <address>', 'for the certificate authority: the relay ends TLS and orders certificates')
    .option('--behind-proxy', 'another program on this machine ends TLS')
    .option('--http <address>', help('http'))
    .option('--https <address>', help('https'))
    .option('--public-url <url>', help('public_url'))
    .option('--tcp-ports <ranges>', help('tcp.ports'))
    .option('--data <dir>', help('data'))
    .option('--no-wildcard', 'order a certificate for each name, instead of one by a delegated DNS zone')
    .option('--user <user>', 'whom the first token is for', 'admin')
    .option('--no-checks', 'do not look at DNS, ports, clock and limits')
    .option('--yes', 'ask nothing')
    .action(async (flags: Flags) => {
      const { init } = await import('./init.ts');
      await init(flags, world);
    });
}

function addTokenCommands(program: Command, world: World): void {
  const token = program.command('token').description('who may open tunnels');
  withStore(token.command('add').description('make a token; it is printed once, alone, on standard output'))
    .argument('<user>', 'whom it is for: names and ports belong to the user')
    .option('--names <patterns>', 'only these names: shop,dev-*')
    .option('--ports <ranges>', 'only these TCP ports: 7000-7010,8000')
    .option('--max-tunnels <number>', 'only so many tunnels at a time')
    .action(async (user: string, flags: Flags) => (await import('./tokens.ts')).addToken(user, flags, world));
  withStore(token.command('list').description('list the tokens'))
    .option('--json', 'as JSON')
    .action(async (flags: Flags) => (await import('./tokens.ts')).listTokens(flags, world));
  withStore(token.command('revoke').description('end a token and, within a second, its sessions'))
    .argument('<id>', 'as `token list` shows it')
    .action(async (id: string, flags: Flags) => (await import('./tokens.ts')).revokeToken(id, flags, world));
}

function addNameCommands(program: Command, world: World): void {
  const name = program.command('name').description('names kept for one user');
  withStore(name.command('reserve').description('keep a name for a user for good'))
    .argument('<name>')
    .requiredOption('--user <user>', 'for whom')
    .action(async (wanted: string, flags: Flags) => (await import('./names.ts')).reserveName(wanted, flags, world));
  withStore(name.command('release').description('let anybody have the name again'))
    .argument('<name>')
    .action(async (wanted: string, flags: Flags) => (await import('./names.ts')).releaseName(wanted, flags, world));
  withStore(name.command('list').description('list the reserved names'))
    .option('--json', 'as JSON')
    .action(async (flags: Flags) => (await import('./names.ts')).listNames(flags, world));
}

function withStore(command: Command): Command {
  return withOptions(command, ['data']);
}

function withOptions(command: Command, paths: readonly OptionPath[]): Command {
  command.option('--config <file>', 'configuration file (PORTHOLE_RELAY_CONFIG)');
  for (const path of paths) {
    const flag = flagName(path);
    if (flag === undefined) continue;
    const isSwitch = typeof optionAt(path).fallback === 'boolean';
    // A switch may be given a value too, so that it can be switched off where a file switches it on.
    command.addOption(new Option(isSwitch ? `${flag} [boolean]` : `${flag} <value>`, help(path)));
  }
  return command;
}

function help(path: OptionPath): string {
  return optionAt(path).help.replaceAll('`', '');
}

function usageText(cause: CommanderError): string {
  if (cause.code === 'commander.help') return 'a command is missing, for example: porthole-relay serve';
  return cause.message
    .replace(/^error: /, '')
    .replace(/\s*\n\s*/g, ' ')
    .trim();
}
