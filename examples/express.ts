/**
 * An Express application on a public address, without a local port:
 *
 *   PORTHOLE_RELAY=https://tunnel.example.com PORTHOLE_TOKEN=… node express.ts
 */
import { createServer } from 'node:http';
import { expose } from '@porthole/agent';
import express from 'express';

const app = express();
app.get('/', (request, response) => {
  response.send(`Hello from Express, ${request.headers['x-forwarded-for']}\n`);
});
app.post('/echo', express.text(), (request, response) => {
  response.type('text').send(request.body);
});

const tunnel = await expose({
  relay: process.env.PORTHOLE_RELAY ?? 'http://localhost:8080',
  token: process.env.PORTHOLE_TOKEN,
  server: createServer(app),
});
console.log(tunnel.url);

process.once('SIGTERM', () => void tunnel.close());
process.once('SIGINT', () => void tunnel.close());
