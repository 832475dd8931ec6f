/** The service that `npm start` publishes: one page that shows requests, uploads and an event stream at work. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** Not listening: the agent hands it visitors without a local port. */
export function sampleOrigin(): Server {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://sample');
    if (pathname === '/') page(response);
    else if (pathname === '/clock') clock(request, response);
    else if (pathname === '/echo' && request.method === 'POST') echo(request, response);
    else {
      response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' });
      response.end('There is nothing here. The page is at /\n');
    }
  });
}

function page(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
  response.end(PAGE);
}

/** An event each second, for as long as somebody looks. */
function clock(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' });
  const tick = (): void => void response.write(`data: ${new Date().toLocaleTimeString('en-GB')}\n\n`);
  tick();
  const timer = setInterval(tick, 1_000);
  request.on('close', () => clearInterval(timer));
  response.on('close', () => clearInterval(timer));
}

/** The body back, piece by piece, with the head of the request in front. */
function echo(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.write(`${request.method} ${request.url} HTTP/${request.httpVersion}\n`);
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    response.write(`${request.rawHeaders[index]}: ${request.rawHeaders[index + 1]}\n`);
  }
  response.write('\n');
  request.pipe(response);
}

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Porthole</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 42rem; margin: 4rem auto; padding: 0 1.5rem; }
  h1 { font-weight: 600; margin-bottom: 0; }
  .clock { font: 600 3rem/1.2 ui-monospace, monospace; font-variant-numeric: tabular-nums; margin: 1.5rem 0; }
  form { display: flex; gap: .5rem; }
  input { flex: 1; font: inherit; padding: .5rem .75rem; border: 1px solid #8888; border-radius: .5rem; }
  button { font: inherit; padding: .5rem 1rem; border: 0; border-radius: .5rem; background: #2563eb; color: #fff; cursor: pointer; }
  pre { padding: 1rem; border-radius: .5rem; background: #8882; overflow-x: auto; }
  small { opacity: .7; }
</style>
<h1>It works.</h1>
<p>This page came through a Porthole relay from a service that has no public address of its own.</p>
<div class="clock" id="clock" aria-live="off">--:--:--</div>
<p><small>The clock is an event stream: one event a second, passed on as it is written.</small></p>
<form id="form">
  <input id="text" name="text" aria-label="Text to send" value="Hello through the tunnel" autocomplete="off">
  <button>Echo</button>
</form>
<pre id="answer" aria-live="polite">What you send comes back, with the request as the service saw it.</pre>
<p>To publish a port of your own: <code>npx porthole http 3000</code></p>
<script>
  const clock = document.getElementById('clock');
  new EventSource('/clock').onmessage = (event) => { clock.textContent = event.data; };
  document.getElementById('form').onsubmit = async (event) => {
    event.preventDefault();
    const answer = await fetch('/echo', { method: 'POST', body: document.getElementById('text').value });
    document.getElementById('answer').textContent = await answer.text();
  };
</script>
</html>
`;
