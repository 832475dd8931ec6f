/** A tunnel behind a user name and a password: the gate's credential opens it and goes no further; the application's own stays. */
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startOrigin } from '../harness/origin.ts';
import { askOnce } from '../harness/raw-visitor.ts';
import { sceneOfFile } from '../harness/scene.ts';
import { everythingIsHere } from '../harness/stage.ts';
import { within } from '../harness/until.ts';

const RIGHT = `Basic ${Buffer.from('ada:pass:word').toString('base64')}`;

const scene = sceneOfFile(startOrigin, { agent: { env: { PORTHOLE_BASIC_AUTH: 'ada:pass:word' } } });

function ask(lines: readonly string[], method = 'GET') {
  const fields = lines.map((line) => `${line}\r\n`).join('');
  return askOnce(scene.stage.url, `${method} /headers HTTP/1.1\r\nHost: ${scene.stage.host}\r\n${fields}\r\n`);
}

/** Names (lower case) and values of what the origin saw. */
async function seenWith(...lines: string[]): Promise<[string, string][]> {
  const answer = await ask(lines);
  expect(answer.status).toBe(200);
  const { headers } = JSON.parse(answer.body.toString()) as { headers: [string, string][] };
  return headers.map(([name, value]) => [name.toLowerCase(), value]);
}

const valuesOf = (fields: [string, string][], name: string): string[] =>
  fields.filter(([own]) => own === name).map(([, value]) => value);

describe('a guarded tunnel', () => {
  it('asks for a credential, and the origin hears nothing of who has none', async () => {
    const before = scene.origin.seen.length;
    const answer = await ask([]);
    expect(answer.status).toBe(401);
    expect(answer.field('www-authenticate')).toContain('Basic');
    expect(scene.origin.seen.length).toBe(before);
  });

  it('takes the usual field, and takes it off', async () => {
    const seen = await seenWith(`Authorization: ${RIGHT}`);
    expect(valuesOf(seen, 'authorization')).toEqual([]);
    expect(valuesOf(seen, 'transfer-encoding')).toEqual([]);
  });

  it.each(['Porthole-Authorization', 'porthole-authorization'])(
    "leaves the application's own credential alone beside %s",
    async (name) => {
      const seen = await seenWith('Authorization: Bearer app', `${name}: ${RIGHT}`);
      expect(valuesOf(seen, 'authorization')).toEqual(['Bearer app']);
      expect(seen.filter(([own]) => own.startsWith('porthole-'))).toEqual([]);
    },
  );

  it('refuses a wrong one, and a spelling that is not the field', async () => {
    expect((await ask([`Porthole-Authorization: ${RIGHT.slice(0, -4)}`])).status).toBe(401);
    expect((await ask([`Porthole_Authorization: ${RIGHT}`])).status).toBe(401);
  });

  it('lets a preflight pass, which cannot carry a credential', async () => {
    const preflight = ['Origin: https://app.example', 'Access-Control-Request-Method: PUT'];
    expect((await ask(preflight, 'OPTIONS')).status).toBe(200);
    expect((await ask(['Origin: https://app.example'], 'OPTIONS')).status).toBe(401);
  });

  it('guards WebSockets as well', async () => {
    const url = `${scene.stage.url.replace('http', 'ws')}/socket`;
    const open = (headers: Record<string, string>): WebSocket =>
      new WebSocket(url, { lookup: everythingIsHere, headers });
    const refused = open({});
    const [error] = (await within('the refusal', once(refused, 'error'))) as [Error];
    expect(error.message).toContain('401');
    const socket = open({ Authorization: 'Bearer app', 'Porthole-Authorization': RIGHT });
    await within('the WebSocket opens', once(socket, 'open'));
    socket.send('hello');
    const [data] = (await within('the echo', once(socket, 'message'))) as [Buffer];
    expect(String(data)).toBe('hello');
    socket.close();
    await within('the WebSocket closes', once(socket, 'close'));
  });
});
