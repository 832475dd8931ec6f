/** Host names and addresses as parts of store keys, which know neither `*` nor `:` and are at most 200 long. */
import { createHash } from 'node:crypto';

const MAX_LENGTH = 120;

/** One key part per name; a very long name is cut and told apart by a digest. A key part is its own key part. */
export function nameKey(name: string): string {
  const safe = name.toLowerCase().replaceAll('*', '=w').replaceAll(':', '=c');
  if (safe.length <= MAX_LENGTH && /^[a-z0-9._=-]+$/.test(safe)) return safe;
  const digest = createHash('sha256').update(name.toLowerCase()).digest('hex');
  return `${safe.replace(/[^a-z0-9._=-]/g, '').slice(0, MAX_LENGTH - 66)}=d${digest}`;
}
