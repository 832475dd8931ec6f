/**
 * A Fastify application on a public address, without a local port:
 *
 *   PORTHOLE_RELAY=https://tunnel.example.com PORTHOLE_TOKEN=… node fastify.ts
 */
import { expose } from '@porthole/agent';
import { fastify } from 'fastify';

// The visitor's address comes from the relay, which nobody can forge.
const app = fastify({ trustProxy: true });
app.get('/', async (request) => `Hello from Fastify, ${request.ip}\n`);
app.post('/echo', async (request) => request.body);
await app.ready();

const tunnel = await expose({
  relay: process.env.PORTHOLE_RELAY ?? 'http://localhost:8080',
  token: process.env.PORTHOLE_TOKEN,
  server: app.server,
});
console.log(tunnel.url);

const stop = async (): Promise<void> => {
  await tunnel.close();
  await app.close();
};
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());
