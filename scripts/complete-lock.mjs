/**
 * Adds to package-lock.json the optional platform packages that a registry mirror did not have when the file was
 * written. Without their entries `npm ci` refuses the lock file; with them it passes them over on other platforms.
 * Run it after every `npm install` that changed the lock file.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const OS = new Set([
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'aix',
  'win32',
]);
const CPU = new Set(['arm64', 'x64', 'ia32', 'arm', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el', 'wasm32']);

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
let added = 0;
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    if (lock.packages[path] !== undefined) continue;
    const words = name.replace(/^@[^/]*\//, '').split('-');
    const os = words.find((word) => OS.has(word));
    const cpu = words.find((word) => CPU.has(word));
    // Without a platform `npm ci` would try to fetch it: better a refused lock file than a wrong one.
    if (os === undefined) throw new Error(`cannot tell the platform of ${name}`);
    lock.packages[path] = {
      version,
      ...(cpu === undefined ? {} : { cpu: [cpu] }),
      dev: true,
      optional: true,
      os: [os],
    };
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} entries added`);
