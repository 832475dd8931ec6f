/**
 * An ACME client (RFC 8555) without policy, and the X.509 and name arithmetic it needs; used by the relay and, for
 * certificates that only the agent holds, by the command line.
 */
export { addressFromBytes, addressToBytes, mappedToV6 } from './address-bytes.ts';
export {
  bad,
  readAuthorization,
  readDirectory,
  readOrder,
  readRenewalInfo,
  type Authorization,
  type Challenge,
  type Directory,
  type Identifier,
  type Order,
  type OrderStatus,
  type RenewalInfo,
} from './answers.ts';
export {
  AcmeApi,
  revocationReasons,
  type AccountRequest,
  type ExternalAccount,
  type IssuedChain,
  type OrderRequest,
} from './api.ts';
export {
  checkCertificate,
  factsOf,
  invalid,
  readChain,
  type CertificateExpectation,
  type CertificateFacts,
} from './certificate-check.ts';
export { createChallengeCertificate, createCsr, type PemCertificate } from './csr.ts';
export { der, readDer, readDerSequence, tagged, type DerItem } from './der.ts';
export { isAddressLiteral, nameCovers, normalHostName, wildcardOf } from './host-name.ts';
export { AcmeHttp, type AcmeHttpOptions, type AcmeReply, type PostOptions, type Signer } from './http.ts';
export { fieldOf, numberOf, stringOf, stringsOf } from './json-fields.ts';
export {
  keyAuthorization,
  publicJwk,
  signAccountBinding,
  signJws,
  thumbprint,
  type JwsHeader,
  type PublicJwk,
} from './jws.ts';
export {
  identifiersOf,
  obtainCertificate,
  type ChallengeSolver,
  type ChallengeTask,
  type ChallengeType,
  type IssuedCertificate,
  type OrderOptions,
} from './order.ts';
export {
  AcmeError,
  describeProblem,
  errorOfAnswer,
  parseRetryAfter,
  plainText,
  problemType,
  type AcmeErrorOptions,
} from './problem.ts';
export {
  cancelled,
  checkAcmeUrl,
  createTransport,
  type AcmeAnswer,
  type AcmeRequest,
  type AcmeTransport,
  type TransportOptions,
} from './transport.ts';
export {
  alternativeNames,
  commonName,
  createCertificate,
  createKeyPair,
  createSelfSigned,
  derToPem,
  extension,
  keyToPem,
  oids,
  publicKeyInfo,
  renewalIdentifier,
  type CertificateOptions,
  type Issuer,
  type KeyPair,
} from './x509.ts';
