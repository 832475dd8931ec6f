/**
 * Large bodies both ways with their sha256: 256 MiB, and five gigabytes in full size.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Agent, request } from 'undici';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { residentBytes } from '../harness/process-usage.ts';
import { patternBody, patternSha256 } from '../harness/random.ts';
import { scaled } from '../harness/scale.ts';
import { type Stage, everythingIsHere, startStage } from '../harness/stage.ts';

const MIB = 1024 * 1024;
const SIZE = scaled(256, 5 * 1024) * MIB;
const LIMIT_MS = 60_000 + SIZE / 20_000;

let origin: Origin;
let stage: Stage;
let visitors: Agent;

beforeAll(async () => {
  origin = await startOrigin();
  stage = await startStage(origin.port);
  visitors = new Agent({ connect: { lookup: everythingIsHere }, bodyTimeout: 0, headersTimeout: 0 });
  patternSha256(SIZE);
}, LIMIT_MS);
afterAll(async () => {
  await visitors?.close();
  await stage?.close();
  await origin?.close();
});

describe('big bodies', () => {
  it.each(['with a length', 'in chunks'])(
    'come down unchanged %s',
    async (how) => {
      const { body, headers } = await request(`${stage.url}/size/${SIZE}${how === 'in chunks' ? '?chunked' : ''}`, {
        dispatcher: visitors,
      });
      const hash = createHash('sha256');
      for await (const chunk of body) hash.update(chunk as Buffer);
      expect(hash.digest('hex')).toBe(patternSha256(SIZE));
      expect(headers['content-length']).toBe(how === 'in chunks' ? undefined : String(SIZE));
    },
    LIMIT_MS,
  );

  it.each(['with a length', 'in chunks'])(
    'go up unchanged %s',
    async (how) => {
      const { body } = await request(`${stage.url}/hash`, {
        dispatcher: visitors,
        method: 'POST',
        body: Readable.from(patternBody(SIZE, 256 * 1024)),
        headers: how === 'in chunks' ? {} : { 'content-length': String(SIZE) },
      });
      expect(await body.json()).toEqual({ sha256: patternSha256(SIZE), length: SIZE, method: 'POST' });
    },
    LIMIT_MS,
  );

  it('did not make relay or agent large', () => {
    expect(residentBytes(stage.relay.pid) / MIB).toBeLessThan(400);
    expect(residentBytes(stage.agent.pid) / MIB).toBeLessThan(400);
  });
});
