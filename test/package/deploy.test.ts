/**
 * The files of deploy/ that no program of this machine can run: read, checked against the code, and replaced by the nearest
 * thing that can be run. nginx, Caddy and HAProxy are started with theirs in test/interop.
 */
import { globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../packages/relay/src/config/load-config.ts';
import { installed, missing } from '../harness/debian.ts';
import { freePortRange } from '../harness/free-ports.ts';
import { Program, runProgram } from '../harness/program.ts';
import { FROM_SOURCE } from '../harness/relay.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';
import { until } from '../harness/until.ts';
import { installAlone, type Installed } from './packed.ts';
import { ROOT } from './source-tree.ts';

const DEPLOY = join(ROOT, 'deploy');
/** The relay's own; the tests need no copy of it. */
const { parse, parseAllDocuments } = createRequire(join(ROOT, 'packages/relay/package.json'))('yaml') as {
  parse(text: string): unknown;
  parseAllDocuments(text: string): { readonly errors: readonly Error[]; toJS(): unknown }[];
};

const read = (path: string): string => readFileSync(join(DEPLOY, path), 'utf8');

const byName = (a: string | undefined, b: string | undefined): number => (a ?? '').localeCompare(b ?? '');

interface Tree {
  readonly [key: string]: Tree;
}

/** Something below a document, by keys; undefined when it is not there. */
function at(tree: unknown, ...keys: (string | number)[]): unknown {
  return keys.reduce<unknown>((node, key) => (node as Tree | undefined)?.[String(key)], tree);
}

describe('YAML of deploy/', () => {
  it('can be read, all of it', () => {
    const files = globSync('**/*.{yml,yaml}', { cwd: DEPLOY });
    expect(files.length).toBeGreaterThanOrEqual(4);
    for (const file of files)
      for (const document of parseAllDocuments(read(file))) expect(document.errors, file).toEqual([]);
  });
});

describe('deploy/docker', () => {
  const dockerfile = read('docker/Dockerfile').replaceAll(/\\\n\s*/g, ' ');
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
  const environment = Object.fromEntries(
    [...last.matchAll(/^ENV (.*)$/gm)].flatMap(([, pairs = '']) =>
      pairs.split(' ').map((pair) => pair.split('=') as [string, string]),
    ),
  );
  const arrayOf = (instruction: string): string[] =>
    JSON.parse(new RegExp(`^${instruction} (?:.*CMD )?(\\[.*\\])$`, 'm').exec(last)?.[1] ?? '[]') as string[];

  it('copies only what is there and what the ignore file lets in', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*)$/gm)].flatMap(([, paths = '']) =>
      paths.split(' ').slice(0, -1),
    );
    expect(copied).toContain('packages');
    const allowed = [...read('docker/Dockerfile.dockerignore').matchAll(/^!(.*)$/gm)].map(([, path]) => path);
    expect(allowed.toSorted(byName)).toEqual(copied.toSorted(byName));
    for (const path of copied) expect(globSync(path, { cwd: ROOT }), path).toEqual([path]);
  });

  it('ends as another user than root, with a health check, and without npm between the signals and the relay', () => {
    expect(/^USER (\S+)$/m.exec(last)?.[1]).toBe('node');
    expect(arrayOf('HEALTHCHECK')[0]).toBe('node');
    expect(arrayOf('ENTRYPOINT')[0]).toBe('node');
  });

  it('packs each package of ours that the relay depends on', () => {
    const packed = [...dockerfile.matchAll(/--workspace packages\/(\S+)/g)].map(([, name]) => `@porthole/${name}`);
    const manifest = JSON.parse(readFileSync(join(ROOT, 'packages/relay/package.json'), 'utf8')) as {
      dependencies: object;
    };
    const own = Object.keys(manifest.dependencies).filter((name) => name.startsWith('@porthole/'));
    expect(packed.toSorted(byName)).toEqual([...own, '@porthole/relay'].toSorted(byName));
  });

  it('has a compose file whose environment is a configuration', () => {
    const service = at(parse(read('docker/compose.yml')), 'services', 'relay');
    const given = at(service, 'environment') as Record<string, string>;
    const values: Record<string, string> = { PORTHOLE_DOMAIN: 'tunnel.example.com', PORTHOLE_EMAIL: 'you@example.com' };
    const filled = Object.fromEntries(
      Object.entries(given).map(([key, text]) => [
        key,
        text.replaceAll(/\$\{(\w+):\?[^}]*\}/g, (_, name: string) => values[name] ?? ''),
      ]),
    );
    const { config, warnings } = loadConfig({ workingDir: '/', environment: { ...environment, ...filled } });
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      domains: ['tunnel.example.com'],
      dataDir: '/data',
      http: { port: 80 },
      tls: { listen: { port: 443 }, acme: { email: 'you@example.com' } },
    });
    expect(at(service, 'ports')).toEqual(['80:80', '443:443']);
    expect(at(service, 'volumes')).toEqual(['data:/data']);
  });

  describe('without Docker: what the image would run, from packages as they would be published', () => {
    let folder: TempFolder;
    let app: Installed;

    beforeAll(async () => {
      folder = tempFolder();
      app = await installAlone('@porthole/relay');
    }, 240_000);

    afterAll(() => folder?.remove());

    it('starts, is healthy, stops when told to, and then is not', async () => {
      const { first } = await freePortRange(2);
      const placed = (text: string): string =>
        text
          .replaceAll('/app/node_modules', app.modules)
          .replaceAll('/data', folder.path)
          .replaceAll('9464', String(first))
          .replaceAll('8080', String(first + 1));
      const env = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, placed(value)]));
      const [, ...entry] = [...arrayOf('ENTRYPOINT'), ...arrayOf('CMD')].map(placed);
      const [, ...check] = arrayOf('HEALTHCHECK').map(placed);
      const healthy = async (): Promise<boolean> =>
        (await runProgram({ name: 'health check', command: process.execPath, args: check })).code === 0;
      expect(await healthy()).toBe(false);
      const relay = new Program({ name: 'image', command: process.execPath, args: entry, env });
      try {
        await relay.waitForLine('the relay listens', (line) => line.includes('"listening"') || undefined);
        expect(await healthy()).toBe(true);
      } finally {
        await relay.close();
      }
      expect(relay.exit?.code).toBe(0);
      expect(await healthy()).toBe(false);
    });
  });
});

describe('deploy/kubernetes', () => {
  const documents = parseAllDocuments(read('kubernetes/relay.yaml')).map((document) => document.toJS());
  const of = (kind: string): unknown => documents.find((document) => at(document, 'kind') === kind);
  const pod = at(of('StatefulSet'), 'spec', 'template', 'spec');
  const container = at(pod, 'containers', 0);

  it('gives the relay a configuration it takes, with the environment of the image and the pod', () => {
    const text = at(of('ConfigMap'), 'data', 'relay.yml') as string;
    const env = at(container, 'env') as { name: string; value: string }[];
    const image = {
      PORTHOLE_RELAY_HTTP: ':8080',
      PORTHOLE_RELAY_DATA: '/data',
      PORTHOLE_RELAY_ADMIN: '127.0.0.1:9464',
    };
    const environment = { ...image, ...Object.fromEntries(env.map(({ name, value }) => [name, value])) };
    const { config, warnings } = loadConfig({
      file: { path: 'relay.yml', text },
      environment,
      workingDir: '/etc/porthole',
    });
    expect(warnings).toEqual([]);
    const ports = Object.fromEntries(
      (at(container, 'ports') as { name: string; containerPort: number }[]).map((port) => [
        port.name,
        port.containerPort,
      ]),
    );
    expect(config).toMatchObject({ http: { port: ports['http'] }, admin: { port: ports['admin'] }, dataDir: '/data' });
    expect(config.admin?.host).toBeUndefined();
    expect(at(container, 'readinessProbe', 'httpGet')).toEqual({ path: '/readyz', port: 'admin' });
  });

  it('mounts what it names, and leads from the Ingress to the pod', () => {
    const volumes = [
      ...(at(pod, 'volumes') as { name: string }[]),
      at(of('StatefulSet'), 'spec', 'volumeClaimTemplates', 0, 'metadata') as { name: string },
    ];
    const mounts = (at(container, 'volumeMounts') as { name: string }[]).map(({ name }) => name);
    expect(mounts.toSorted(byName)).toEqual(volumes.map(({ name }) => name).toSorted(byName));
    const labels = at(of('StatefulSet'), 'spec', 'template', 'metadata', 'labels');
    expect(at(of('Service'), 'spec', 'selector')).toEqual(labels);
    expect(at(of('StatefulSet'), 'spec', 'selector', 'matchLabels')).toEqual(labels);
    for (const rule of at(of('Ingress'), 'spec', 'rules') as unknown[])
      expect(at(rule, 'http', 'paths', 0, 'backend', 'service', 'name')).toBe(at(of('Service'), 'metadata', 'name'));
  });
});

describe('deploy/systemd', () => {
  const units = globSync('systemd/*', { cwd: DEPLOY }).map((path) => basename(path));

  it.skipIf(missing('systemd-analyze')).each(units)('%s has no fault', async (unit) => {
    const args = ['verify', '--man=no', join(DEPLOY, 'systemd', unit)];
    const { code, stdout, stderr } = await runProgram({ name: 'systemd-analyze', command: 'systemd-analyze', args });
    // Whether this machine has the programs is not the unit's fault.
    const said = `${stdout}\n${stderr}`
      .split('\n')
      .filter((line) => line.includes('porthole') && !line.includes('is not executable'));
    expect(said).toEqual([]);
    expect(code).toBe(0);
  });

  it.skipIf(missing('systemd-analyze')).each(units.filter((unit) => unit.endsWith('.service')))(
    '%s may do little',
    async (unit) => {
      const args = ['security', '--offline=yes', '--threshold=30', '--no-pager', join(DEPLOY, 'systemd', unit)];
      const { code, stdout } = await runProgram({ name: 'systemd-analyze', command: 'systemd-analyze', args });
      expect(code, stdout.split('\n').at(-1)).toBe(0);
    },
  );

  it('gives what is under way more time to finish than the relay takes', () => {
    const { config } = loadConfig({ workingDir: '/' });
    const seconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(read('systemd/porthole-relay.service'))?.[1]);
    expect(seconds * 1000).toBeGreaterThan(config.drainMs);
  });

  it.skipIf(missing('systemd-socket-activate'))(
    'hands its sockets to the relay in the order it knows them',
    async () => {
      const listens = [...read('systemd/porthole-relay.socket').matchAll(/^ListenStream=(\d+)$/gm)].map(
        ([, port]) => port,
      );
      expect(listens).toEqual(['80', '443']);
      const { first, last } = await freePortRange(2);
      using folder = tempFolder();
      const bin = join(ROOT, 'packages/relay/bin/porthole-relay.mjs');
      const args = [
        `--listen=127.0.0.1:${first}`,
        `--listen=127.0.0.1:${last}`,
        process.execPath,
        FROM_SOURCE,
        bin,
        'serve',
      ];
      const config = folder.write(
        'relay.yml',
        JSON.stringify({ https: '127.0.0.1:1', http: '127.0.0.1:2', admin: 'off', tls: { self_signed: true } }),
      );
      await using relay = new Program({
        name: 'systemd-socket-activate',
        command: installed('systemd-socket-activate') ?? '',
        args: [...args, '--config', config, '--data', join(folder.path, 'data')],
        stopWithinMs: 15_000,
      });
      await until('the socket is there', () => opens(first));
      const event = await relay.waitForLine('the relay listens', (line) =>
        line.includes('"listening"') ? line : undefined,
      );
      expect(event).toContain(`"https":"127.0.0.1:${last}"`);
      const answer = await fetch(`http://127.0.0.1:${first}/`, { redirect: 'manual' });
      expect(answer.status).toBeGreaterThan(299);
    },
  );
});

/** Connecting once also is what starts the service. */
function opens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
