import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Credentials, credentialsPath } from './credentials.ts';
import { chooseRelay, chooseRelayOutsideFile, loadConfig, type RelayFlags } from './relay-choice.ts';

let home: string;
let clone: string;
let credentials: Credentials;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'porthole-settings-'));
  clone = join(home, 'clone', 'packages', 'cli');
  mkdirSync(clone, { recursive: true });
  credentials = new Credentials(credentialsPath({}, home));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function choose(flags: RelayFlags = {}, env: Record<string, string> = {}) {
  const around = { env, cwd: clone, home, credentials };
  return chooseRelay(flags, loadConfig(flags, around), around);
}

function put(path: string, text: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
}

describe('the relay', () => {
  it('is named by flag before environment before file before login before the development relay', () => {
    put(join(home, 'clone/data/dev-relay.json'), '{"relay":"http://localhost:8080","token":"dev"}');
    expect(choose()).toMatchObject({
      relay: 'http://localhost:8080',
      token: 'dev',
      note: expect.stringContaining('npm start'),
    });
    credentials.store('https://login.example', 'from-login');
    expect(choose()).toMatchObject({ relay: 'https://login.example', token: 'from-login', note: undefined });
    put(join(clone, 'porthole.yml'), 'relay: file.example\ntoken_file: secret\n');
    put(join(clone, 'secret'), 'from-file\n');
    expect(choose()).toMatchObject({ relay: 'https://file.example', token: 'from-file' });
    expect(choose({}, { PORTHOLE_RELAY: 'https://env.example', PORTHOLE_TOKEN: 'from-env' })).toMatchObject({
      relay: 'https://env.example',
      token: 'from-env',
    });
    expect(choose({ relay: 'flag.example:8443' }, { PORTHOLE_RELAY: 'https://env.example' })).toMatchObject({
      relay: 'https://flag.example:8443',
    });
  });

  it('of a file that merely lies there is asked last by commands that do not run its tunnels', () => {
    const around = { env: {}, cwd: clone, home, credentials };
    put(join(clone, 'porthole.yml'), 'relay: file.example\n');
    expect(chooseRelayOutsideFile({}, around)).toMatchObject({
      relay: 'https://file.example',
      note: expect.stringContaining('porthole.yml'),
    });
    expect(chooseRelayOutsideFile({ config: 'porthole.yml' }, around)).toMatchObject({ note: undefined });
    credentials.store('https://login.example', 't');
    expect(chooseRelayOutsideFile({}, around)).toMatchObject({ relay: 'https://login.example' });
    expect(chooseRelayOutsideFile({ config: 'porthole.yml' }, around)).toMatchObject({ relay: 'https://file.example' });
    put(join(clone, 'porthole.yml'), 'broken: [');
    expect(chooseRelayOutsideFile({ relay: 'flag.example' }, around)).toMatchObject({ relay: 'https://flag.example' });
  });

  it('missing everywhere is a sentence with what to do', () => {
    expect(() => choose()).toThrowError(
      expect.objectContaining({ code: 'RELAY_MISSING', hint: expect.stringContaining('porthole login') }),
    );
  });

  it.each(['ftp://x', 'https://x/path', 'http://user:tok@x', 'not a url'])('cannot be %s', (relay) => {
    expect(() => choose({ relay })).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('of a development file counts only when it is on this machine', () => {
    put(join(home, 'clone/data/dev-relay.json'), '{"relay":"https://evil.example"}');
    expect(() => choose()).toThrowError(expect.objectContaining({ code: 'RELAY_MISSING' }));
  });
});

describe('the token', () => {
  it('of one relay is never used for another', () => {
    credentials.store('https://a.example', 'a-token');
    expect(choose({ relay: 'https://b.example' }).token).toBeUndefined();
  });

  it('is trimmed, and never repeated when it is not one', () => {
    expect(choose({ relay: 'a.example' }, { PORTHOLE_TOKEN: ' t0ken\n' }).token).toBe('t0ken');
    try {
      choose({ relay: 'a.example' }, { PORTHOLE_TOKEN: 'sec ret' });
      expect.unreachable();
    } catch (cause) {
      expect(String(cause)).not.toContain('sec');
    }
  });

  it('file that does not exist is FILE_UNREADABLE', () => {
    expect(() => choose({ relay: 'a.example', tokenFile: 'nowhere' })).toThrowError(
      expect.objectContaining({ code: 'FILE_UNREADABLE' }),
    );
  });

  it('is stored for the owner only, and forgotten on request', () => {
    credentials.store('https://a.example', 'a-token');
    credentials.store('https://b.example', 'b-token');
    const path = join(home, '.config/porthole/credentials.json');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      last: 'https://b.example',
      relays: { 'https://a.example': { token: 'a-token' }, 'https://b.example': { token: 'b-token' } },
    });
    expect(credentials.forget('https://b.example')).toBe(true);
    expect(credentials.last()).toBe('https://a.example');
    expect(credentials.forget('https://b.example')).toBe(false);
    credentials.forget('https://a.example');
    expect(() => statSync(path)).toThrow();
  });

  it('file that is damaged is a sentence', () => {
    put(credentialsPath({}, home), '{');
    expect(() => credentials.last()).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});

describe('the configuration file', () => {
  it('must be there when it is named, and may be missing when not', () => {
    const around = { env: {}, cwd: clone, home, credentials };
    expect(loadConfig({}, around)).toBeUndefined();
    expect(() => loadConfig({ config: 'other.yml' }, around)).toThrowError(
      expect.objectContaining({ code: 'FILE_UNREADABLE' }),
    );
  });

  it('knows its faults by file, line and column', () => {
    put(join(clone, 'x.yml'), '\nrelais: a.example\n');
    expect(() => choose({ config: 'x.yml' })).toThrowError(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        detail: 'x.yml:2:1: relais: unknown key; did you mean relay?',
      }),
    );
  });
});
