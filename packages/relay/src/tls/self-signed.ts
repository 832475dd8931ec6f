/** A certificate the relay makes by itself, to answer with while there is no better; kept, so that it stays the same. */
import type { Store } from '../store/store.ts';
import { createKeyPair, createSelfSigned, derToPem, factsOf, keyToPem, stringOf } from '@porthole/acme';
import type { ServedCertificate } from './certificate-index.ts';

const STORE_KEY = 'tls/self-signed';
const DAY_MS = 86_400_000;
const LIFE_MS = 365 * DAY_MS;
const RENEW_BEFORE_MS = 30 * DAY_MS;

/** The one in the store if it is for these names and not about to end, else a new one. */
export async function keptSelfSigned(
  store: Store,
  names: readonly string[],
  nowMs: number,
): Promise<ServedCertificate> {
  const document = await store.get(STORE_KEY);
  const standing = usable(stringOf(document?.value, 'keyPem'), stringOf(document?.value, 'chainPem'), names, nowMs);
  if (standing !== undefined) return standing;
  const pair = createKeyPair();
  const keyPem = keyToPem(pair.privateKey);
  const chainPem = derToPem('CERTIFICATE', createSelfSigned(pair, names, nowMs, LIFE_MS));
  const put = await store.put(STORE_KEY, { keyPem, chainPem }, document?.revision ?? 0);
  // Another process was faster: all serve its certificate.
  if (!put.ok) return await keptSelfSigned(store, names, nowMs);
  return { id: STORE_KEY, names, keyPem, chainPem, notAfterMs: nowMs + LIFE_MS };
}

function usable(
  keyPem: string | undefined,
  chainPem: string | undefined,
  names: readonly string[],
  nowMs: number,
): ServedCertificate | undefined {
  if (keyPem === undefined || chainPem === undefined) return undefined;
  const { names: own, notAfterMs } = factsOf(chainPem);
  const isSame = own.length === names.length && names.every((name) => own.includes(name));
  return isSame && notAfterMs - nowMs > RENEW_BEFORE_MS
    ? { id: STORE_KEY, names, keyPem, chainPem, notAfterMs }
    : undefined;
}
