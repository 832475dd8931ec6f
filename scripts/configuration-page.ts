/** docs/configuration.md, made from the declarations of the relay's and the command line's options. */
import { OPTIONS, type OptionRow, rowHelp } from '../packages/cli/src/settings/options.ts';
import { optionTable } from '../packages/relay/src/config/option-docs.ts';

export const CONFIGURATION_SOURCES = 'packages/relay/src/config/options.ts and packages/cli/src/settings/options.ts';

export function configurationText(): string {
  return `# Configuration

## The relay

These are the options of \`porthole-relay serve --config relay.yml\`. Every option is a key of the file, an environment variable and, where the table has one, a flag. Flags override the
environment, the environment overrides the file, and the file overrides the defaults. The result is then checked as a whole: all mistakes are reported at once, with their location, and
unknown keys are refused. \`porthole-relay config\` prints what is in effect.

Keys with a dot are nested (\`tcp: { ports: 7000-7010 }\`). Durations are written \`30s\`, \`5m\`, \`1h\`; sizes \`64KiB\`, \`1MiB\`; lists as YAML lists or with commas.

${optionTable()}
## The command line

These are the flags of \`porthole\` and the keys of \`porthole.yml\`, which \`porthole start\` reads. A key under *tunnels* belongs to one tunnel.

${cliTable()}
A file with two tunnels:

\`\`\`yaml
relay: https://tunnel.example.com
tunnels:
  web: { http: 3000, name: shop }
  db: { tcp: 5432 }
\`\`\`

The token itself is never an argument: \`porthole login\` stores it, or \`PORTHOLE_TOKEN\` or \`--token-file\` supplies it.
`;
}

function cliTable(): string {
  const rows = Object.values(OPTIONS as Record<string, OptionRow>).map((row) => {
    const commands = row.commands === 'all' ? 'all' : row.commands.map((name) => `\`${name}\``).join(', ');
    return `| ${[code(row.flag), code(row.key), code(row.env), row.default ?? '', commands, rowHelp(row)].join(' | ')} |`;
  });
  return [
    '| flag | key | environment | default | commands | what it does |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

function code(text: string | undefined): string {
  return text === undefined ? '' : `\`${text}\``;
}
