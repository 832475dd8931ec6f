/** A certificate the relay makes by itself, to answer with while there is no better; kept, so that it stays the same. */
import type { Store } from '../store/store.ts';
import { createKeyPair, createSelfSigned, derToPem, factsOf, keyToPem, stringOf } from '@porthole/acme';
import type { ServedCertificate } from './certificate-index.ts';

const storeKey = 'tls/self-signed';
const dayMs = 86_400_000;
const lifeMs = 365 * dayMs;
const renewBeforeMs = 30 * dayMs;

/** The one in the store if it is for these names and not about to end, else a new one. */
export async function keptSelfSigned(
  store: Store,
  names: readonly string[],
  nowMs: number,
): Promise<ServedCertificate> {
  const document = await store.get(storeKey);
  const standing = usable(stringOf(document?.value, 'keyPem'), stringOf(document?.value, 'chainPem'), names, nowMs);
  if (standing !== undefined) return standing;
  const pair = createKeyPair();
  const keyPem = keyToPem(pair.privateKey);
  const chainPem = derToPem('CERTIFICATE', createSelfSigned(pair, names, nowMs, lifeMs));
  const put = await store.put(storeKey, { keyPem, chainPem }, document?.revision ?? 0);
  // Another process was faster: all serve its certificate.
  if (!put.ok) return await keptSelfSigned(store, names, nowMs);
  return { id: storeKey, names, keyPem, chainPem, notAfterMs: nowMs + lifeMs };
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
  return isSame && notAfterMs - nowMs > renewBeforeMs
    ? { id: storeKey, names, keyPem, chainPem, notAfterMs }
    : undefined;
}
