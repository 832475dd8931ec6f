/** HTTP/2 negotiated in TLS: browsers' way in, and gRPC's. */
import { once } from 'node:events';
import * as http2 from 'node:http2';
import * as tls from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { missing } from '../harness/debian.ts';
import { type GrpcOrigin, startGrpcOrigin, unary } from '../harness/grpc.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { runProgram } from '../harness/program.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';

const HOST = 'shop.tunnel.test';
let files: CertificateFiles;
let ca: string;
let relay: RelayUnderTest;
let origin: Origin;
let service: GrpcOrigin;
const agents: AgentUnderTest[] = [];

beforeAll(async () => {
  const authority = new TestAuthority();
  files = writeCertificateFiles(authority, ['tunnel.test', '*.tunnel.test', 'localhost']);
  ca = authority.certificatePem;
  origin = await startOrigin();
  service = await startGrpcOrigin();
  relay = await startRelay({
    domain: 'tunnel.test',
    config: { https: '127.0.0.1:0', tls: { certificates: [{ cert: files.chainFile, key: files.keyFile }] } },
  });
  const token = await relay.addToken('ada');
  const relayUrl = `https://localhost:${relay.httpsPort}`;
  const args = ['--ca-file', files.caFile];
  agents.push(await startAgent({ relayUrl, token, args, target: origin.port, name: 'shop' }));
  agents.push(await startAgent({ relayUrl, token, args, target: `grpc://${service.port}`, name: 'calls' }));
});
afterAll(async () => {
  for (const agent of agents) await agent.close();
  await relay?.close();
  await service?.close();
  await origin?.close();
  files?.remove();
});

function dial(): http2.ClientHttp2Session {
  const session = http2.connect(`https://${HOST}:${relay.httpsPort}`, {
    createConnection: () =>
      tls.connect({ port: relay.httpsPort ?? 0, host: '127.0.0.1', servername: HOST, ca, ALPNProtocols: ['h2'] }),
  });
  session.on('error', () => undefined);
  return session;
}

async function ask(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
): Promise<{ status: number; error: unknown; body: string }> {
  const stream = session.request(headers);
  const [received] = await once(stream, 'response');
  let body = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) body += chunk.toString('latin1');
  return { status: received[':status'], error: received['porthole-error'], body };
}

describe('HTTP/2 over TLS', () => {
  it('says https to the origin, for every tunnel the certificate covers', async () => {
    const session = dial();
    const answer = await ask(session, { ':path': '/headers' });
    const fields = Object.fromEntries(JSON.parse(answer.body).headers) as Record<string, string>;
    expect(fields['X-Forwarded-Proto']).toBe('https');
    expect(fields['Via']).toBe('2 porthole');
    // As browsers do who were shown a wildcard.
    expect(await ask(session, { ':authority': `nobody.tunnel.test:${relay.httpsPort}` })).toMatchObject({
      status: 404,
      error: 'TUNNEL_NOT_FOUND',
    });
    session.close();
  });

  it('answers 421 to an authority that is not for this connection', async () => {
    const session = dial();
    expect(await ask(session, { ':authority': 'elsewhere.test' })).toMatchObject({ status: 421, error: 'MISDIRECTED' });
    expect((await ask(session, { ':path': '/x' })).status).toBe(200);
    session.close();
  });

  it.skipIf(missing('curl'))('is what curl --http2 gets', async () => {
    const url = `https://${HOST}:${relay.httpsPort}/size/1000000`;
    const args = ['-sS', '--http2', '--cacert', files.caFile, '--resolve', `${HOST}:${relay.httpsPort}:127.0.0.1`];
    const out = [...args, '-o', '/dev/null', '-w', '%{http_version} %{http_code} %{size_download}', url];
    const { stdout } = await runProgram({ name: 'curl', command: 'curl', args: out });
    expect(stdout).toBe('2 200 1000000');
  });

  it('carries gRPC', async () => {
    const name = `calls.tunnel.test`;
    const channel = new grpc.Client(`127.0.0.1:${relay.httpsPort}`, grpc.credentials.createSsl(Buffer.from(ca)), {
      'grpc.ssl_target_name_override': name,
      'grpc.default_authority': `${name}:${relay.httpsPort}`,
    });
    const big = Buffer.alloc(1_000_000, 'tls');
    const { error, message } = await unary(channel, big);
    expect(error).toBeNull();
    expect(message?.equals(big)).toBe(true);
    channel.close();
  });
});
