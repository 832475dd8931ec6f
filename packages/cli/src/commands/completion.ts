/** `porthole completion`: scripts made from the commands and options that the program really has. */
import { PortholeError } from '@porthole/agent';
import type { Command } from 'commander';
import { printLines, type World } from '../world.ts';

interface Words {
  readonly commands: readonly {
    readonly name: string;
    readonly description: string;
    readonly options: readonly string[];
  }[];
  readonly shared: readonly string[];
}

export async function runCompletion(shell: string, program: Command, world: World): Promise<number> {
  await printLines(world.stdout, completionScript(shell, program).split('\n'));
  return 0;
}

export function completionScript(shell: string, program: Command): string {
  const words = wordsOf(program);
  switch (shell) {
    case 'bash':
      return bashScript(words);
    case 'zsh':
      return `#compdef porthole\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(words)}`;
    case 'fish':
      return fishScript(words);
    default:
      throw new PortholeError(
        'USAGE',
        `there is no completion for ${JSON.stringify(shell)}, only for bash, zsh and fish`,
      );
  }
}

function wordsOf(program: Command): Words {
  const flags = (command: Command): string[] =>
    command.options.flatMap((option) => (typeof option.long === 'string' ? [option.long] : []));
  return {
    commands: program.commands.map((command) => ({
      name: command.name(),
      description: command.description(),
      options: flags(command),
    })),
    shared: flags(program),
  };
}

function bashScript(words: Words): string {
  const cases = words.commands.map(
    (command) => `    ${command.name}) options="${[...command.options, ...words.shared].join(' ')}" ;;`,
  );
  return `_porthole() {
  local word="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" options
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${[...words.commands.map((command) => command.name), ...words.shared].join(' ')}" -- "$word"))
    return
  fi
  case "$command" in
${cases.join('\n')}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -F _porthole porthole`;
}

function fishScript(words: Words): string {
  const lines = words.commands.flatMap((command) => [
    `complete -c porthole -n __fish_use_subcommand -f -a ${command.name} -d '${command.description.replaceAll("'", '')}'`,
    ...command.options.map(
      (option) => `complete -c porthole -n '__fish_seen_subcommand_from ${command.name}' -l ${option.slice(2)}`,
    ),
  ]);
  return [...lines, ...words.shared.map((option) => `complete -c porthole -l ${option.slice(2)}`)].join('\n');
}
