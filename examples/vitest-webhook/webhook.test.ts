/**
 * A test that receives a webhook from the real world: the tunnel lives as long as the test.
 *
 *   PORTHOLE_RELAY=https://tunnel.example.com PORTHOLE_TOKEN=… npx vitest run webhook.test.ts
 */
import { createHmac } from 'node:crypto';
import { expose } from '@porthole/agent';
import { expect, it } from 'vitest';

const SECRET = 'shared with the sender';
const sign = (body: Uint8Array): string => createHmac('sha256', SECRET).update(body).digest('hex');

/** Stands for the service that calls back; a real one is told the URL instead. */
function sendWebhook(url: string, body: Uint8Array<ArrayBuffer>): Promise<Response> {
  return fetch(url, { method: 'POST', body, headers: { 'x-signature': sign(body) } });
}

it('receives a webhook whose signature is right', async () => {
  const received = Promise.withResolvers<{ body: Buffer; signature: string | null }>();
  await using tunnel = await expose({
    relay: process.env.PORTHOLE_RELAY ?? 'http://localhost:8080',
    token: process.env.PORTHOLE_TOKEN,
    async fetch(request) {
      received.resolve({
        body: Buffer.from(await request.arrayBuffer()),
        signature: request.headers.get('x-signature'),
      });
      return new Response(null, { status: 204 });
    },
  });

  const answer = await sendWebhook(`${tunnel.url}/hooks/payment`, Buffer.from('{"paid":true,"note":"ü"}'));

  const { body, signature } = await received.promise;
  expect(answer.status).toBe(204);
  expect(JSON.parse(body.toString())).toEqual({ paid: true, note: 'ü' });
  expect(signature).toBe(sign(body));
});
