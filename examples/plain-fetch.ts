/**
 * A fetch handler on a public address: no framework, no port, bodies streamed both ways.
 *
 *   PORTHOLE_RELAY=https://tunnel.example.com PORTHOLE_TOKEN=… node plain-fetch.ts
 */
import { expose } from '@porthole/agent';

/** Ten ticks as server-sent events; ends early when the visitor goes away. */
function ticks(): ReadableStream<Uint8Array> {
  let count = 0;
  let timer: NodeJS.Timeout;
  return new ReadableStream({
    start(controller) {
      timer = setInterval(() => {
        count++;
        controller.enqueue(new TextEncoder().encode(`data: ${count}\n\n`));
        if (count < 10) return;
        clearInterval(timer);
        controller.close();
      }, 100);
    },
    cancel: () => clearInterval(timer),
  });
}

const tunnel = await expose({
  relay: process.env.PORTHOLE_RELAY ?? 'http://localhost:8080',
  token: process.env.PORTHOLE_TOKEN,
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/echo') return new Response(request.body);
    if (pathname === '/ticks') return new Response(ticks(), { headers: { 'content-type': 'text/event-stream' } });
    return new Response('Hello from a fetch handler\n');
  },
  onError: (error) => console.error(error),
});
console.log(tunnel.url);

process.once('SIGTERM', () => void tunnel.close());
process.once('SIGINT', () => void tunnel.close());
