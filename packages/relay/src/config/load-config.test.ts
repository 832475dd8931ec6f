import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { portUrlOf, publicUrlOf } from './config.ts';
import { readConfigText } from './config-file.ts';
import { ConfigError } from './faults.ts';
import { type ConfigSources, loadConfig } from './load-config.ts';
import { environmentName, flagName, OPTION_PATHS, optionAt } from './options.ts';
import { optionTable, printedDefault } from './option-docs.ts';
import { printConfig } from './print-config.ts';

const GOLDEN = new URL('golden/', import.meta.url);
const names = readdirSync(GOLDEN).filter((name) => name.endsWith('.txt'));

/** First the rule, then the parts: `file`, `environment`, `flags`, and what is to come out. */
function readCase(name: string): { text: string; rule: string; parts: Map<string, string> } {
  const text = readFileSync(new URL(name, GOLDEN), 'utf8');
  const [rule = '', ...rest] = text.split(/^=== /m);
  const parts = new Map(rest.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]));
  return { text, rule: rule.trim(), parts };
}

function assignments(text: string | undefined): Record<string, string> {
  const lines = (text ?? '').split('\n').filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

function outcomeOf(parts: ReadonlyMap<string, string>): string {
  const file = parts.get('file');
  const sources: ConfigSources = {
    file: file === undefined ? undefined : { path: 'relay.yml', text: file },
    environment: assignments(parts.get('environment')),
    flags: assignments(parts.get('flags')),
    workingDir: '/srv/porthole',
  };
  try {
    const loaded = loadConfig(sources);
    const set = printConfig(loaded)
      .split('\n')
      .filter((line) => !line.endsWith('# default') && line !== '' && !line.endsWith(':'));
    return `${set.map((line) => line.replace(/ +#/, '  #')).join('\n')}\n`;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return `${error.detail}\n`;
  }
}

describe('the configuration', () => {
  it('has golden cases', () => {
    expect(names.length).toBeGreaterThan(12);
  });

  for (const name of names) {
    const { text, rule, parts } = readCase(name);
    it(`${name}: ${rule}`, () => {
      const outcome = outcomeOf(parts);
      if (process.env['UPDATE_GOLDEN'] === '1') {
        const input = text.replace(/^=== outcome\n[^]*/m, '');
        writeFileSync(new URL(name, GOLDEN), `${input}=== outcome\n${outcome}`);
      } else expect(outcome).toBe(parts.get('outcome'));
    });
  }

  it('is frozen through and through', () => {
    const { config } = loadConfig({ workingDir: '/' });
    expect(Object.isFrozen(config) && Object.isFrozen(config.limits) && Object.isFrozen(config.tcp.ports)).toBe(true);
  });

  it('reads back what it prints', () => {
    const flags = {
      domain: 'a.example.com,b.example.com',
      http: '[::1]:80',
      'tcp.ports': '1-3',
      open: 'false',
      admin: 'off',
    };
    const first = loadConfig({ flags, workingDir: '/srv' });
    const second = loadConfig({ file: { path: '/srv/relay.yml', text: printConfig(first) }, workingDir: '/elsewhere' });
    expect(second.config).toEqual(first.config);
  });

  it('takes the data folder from where it was written', () => {
    const file = { path: '/etc/porthole/relay.yml', text: 'data: store' };
    expect(loadConfig({ file, workingDir: '/srv' }).config.dataDir).toBe('/etc/porthole/store');
    expect(loadConfig({ file, flags: { data: 'd' }, workingDir: '/srv' }).config.dataDir).toBe('/srv/d');
    expect(loadConfig({ workingDir: '/srv' }).config.dataDir).toBe('/srv/data');
  });

  it('has a default for every option that its own type accepts, and names that collide with no other', () => {
    expect(OPTION_PATHS.length).toBeGreaterThan(20);
    for (const path of OPTION_PATHS) {
      const text = printedDefault(path);
      if (text !== '') expect(readConfigText(nested(path, text), 'f').faults).toEqual([]);
      if (text !== '') expect(optionAt(path).type.schema.safeParse(text).data).toEqual(optionAt(path).fallback);
    }
    expect(new Set(OPTION_PATHS.map(environmentName)).size).toBe(OPTION_PATHS.length);
    const flags = OPTION_PATHS.flatMap((path) => flagName(path) ?? []);
    expect(new Set(flags).size).toBe(flags.length);
  });

  it('documents every option in one row', () => {
    const rows = optionTable().trim().split('\n');
    expect(rows).toHaveLength(OPTION_PATHS.length + 2);
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(8);
  });

  it('points at variables that are none, with the nearest that is one, and not at those Kubernetes sets', () => {
    const environment = {
      PORTHOLE_RELAY_DOMIAN: 'x',
      PORTHOLE_RELAY_SERVICE_HOST: '10.0.0.1',
      PORTHOLE_RELAY_SERVICE_PORT: '80',
      PORTHOLE_RELAY_SERVICE_PORT_HTTP: '80',
      PORTHOLE_RELAY_PORT: 'tcp://10.0.0.1:80',
      PORTHOLE_RELAY_PORT_80_TCP: 'tcp://10.0.0.1:80',
      PORTHOLE_RELAY_PORT_80_TCP_PROTO: 'tcp',
      PORTHOLE_RELAY_MAX_SESSIONS: '1',
      PORTHOLE_RELAY_LIMIT_MAX_FIELDS: '1',
      PORTHOLE_RELAY_UNHEARD_OF_ALTOGETHER: '1',
      PORTHOLE_RELAY_CONFIG: 'f',
      OTHER: '1',
    };
    expect(loadConfig({ environment, workingDir: '/' }).warnings).toEqual([
      'PORTHOLE_RELAY_DOMIAN is no option; did you mean PORTHOLE_RELAY_DOMAIN?',
      'PORTHOLE_RELAY_MAX_SESSIONS is no option; did you mean PORTHOLE_RELAY_LIMITS_MAX_SESSIONS?',
      'PORTHOLE_RELAY_LIMIT_MAX_FIELDS is no option; did you mean PORTHOLE_RELAY_LIMITS_MAX_FIELDS?',
      'PORTHOLE_RELAY_UNHEARD_OF_ALTOGETHER is no option; it is ignored',
    ]);
  });

  it('prints public URLs without the port that goes without saying', () => {
    const plain = loadConfig({ workingDir: '/' }).config;
    expect(publicUrlOf(plain, 'x.localhost', { http: 8080 })).toBe('http://x.localhost:8080');
    expect(publicUrlOf(plain, 'x.localhost', { http: 80 })).toBe('http://x.localhost');
    const behind = loadConfig({ flags: { public_url: 'https://t.example.com' }, workingDir: '/' }).config;
    expect(publicUrlOf(behind, 'x.t.example.com', { http: 8080 })).toBe('https://x.t.example.com');
    expect(portUrlOf(plain, 'http', '2001:db8::5', 7001)).toBe('http://[2001:db8::5]:7001');
    expect(portUrlOf(plain, 'tcp', '203.0.113.5', 7001)).toBe('tcp://203.0.113.5:7001');
  });
});

function nested(path: string, value: string): string {
  const [section, key] = path.split('.');
  return key === undefined ? `${section}: "${value}"\n` : `${section}:\n  ${key}: "${value}"\n`;
}
