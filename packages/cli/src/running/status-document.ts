/** What a running agent says about itself to `porthole status`, as JSON over its status socket. */
import { z } from 'zod';
import { type Board, shownUrls } from '../board.ts';

export const statusSchema = z.object({
  pid: z.number(),
  started_at: z.string(),
  relay: z.string(),
  /** connecting, connected, reconnecting, finished; `unresponsive` is what the asker writes when there is no answer. */
  state: z.string(),
  reason: z.string().optional(),
  next_try_at: z.string().optional(),
  tunnels: z.array(
    z.object({
      tunnel: z.string().optional(),
      protocol: z.string(),
      state: z.string(),
      name: z.string().optional(),
      url: z.string().optional(),
      /** All of them, where there are several. */
      urls: z.array(z.string()).readonly().optional(),
      target: z.string(),
      requests: z.number(),
    }),
  ),
});

export type StatusDocument = z.infer<typeof statusSchema>;

export function statusDocument(board: Board, pid: number, startedAtMs: number): StatusDocument {
  const relay = board.relayState;
  const reconnecting =
    relay.state === 'reconnecting'
      ? { reason: relay.reason, next_try_at: new Date(relay.nextTryAtMs).toISOString() }
      : {};
  return {
    pid,
    started_at: new Date(startedAtMs).toISOString(),
    relay: board.relay,
    state: relay.state,
    ...reconnecting,
    tunnels: board.tunnels.map((row) => ({
      ...(row.label === undefined ? {} : { tunnel: row.label }),
      protocol: row.protocol,
      state: row.state,
      ...(row.name === undefined ? {} : { name: row.name }),
      ...(row.urls.length === 0 ? {} : shownUrls(row.urls)),
      target: row.target,
      requests: row.requests,
    })),
  };
}
