/** Is what the lock file says installed? Compares it with npm's own record in node_modules, and runs `npm ci` if not. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Returns a sentence when the dependencies could not be installed.
 * @param {string} root
 * @returns {string | undefined}
 */
export function ensureInstalled(root) {
  if (isInstalled(root)) return undefined;
  console.log('Installing the dependencies the lock file names …');
  // `npm run` names its own program here; without it, the one on PATH.
  const npm = process.env.npm_execpath;
  const args = ['ci', '--loglevel=error', '--no-audit', '--no-fund'];
  const result =
    npm !== undefined && /\.c?js$/.test(npm)
      ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: 'inherit' })
      : spawnSync('npm', args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
  if (result.error !== undefined) return `npm could not be started: ${result.error.message}`;
  if (result.status !== 0)
    return '`npm ci` failed; what it said is above. A network or registry problem is the usual reason.';
  return undefined;
}

/**
 * @param {string} root
 * @returns {boolean}
 */
export function isInstalled(root) {
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(record, 'utf8')).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || (present[path] === undefined && mayBeMissing(path, entry))) continue;
    if (!isSame(entry, present[path])) return false;
  }
  return Object.keys(present).every((path) => Object.hasOwn(wanted, path));
}

/**
 * npm leaves out optional packages made for another machine, and which those are cannot be told from the lock file alone.
 * Only the Node that comes as one is wanted in any case.
 */
function mayBeMissing(path, entry) {
  return entry.optional === true && path !== `node_modules/node-${process.platform}-${process.arch}`;
}

function isSame(wanted, present) {
  if (present === undefined) return false;
  return (
    wanted.version === present.version && wanted.resolved === present.resolved && wanted.integrity === present.integrity
  );
}
