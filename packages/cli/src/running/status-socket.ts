/**
 * The socket of one running agent, and the asking of all of them. Whoever connects gets the truth of that moment;
 * nothing is stored that could outlive it.
 */
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { statusSchema, type StatusDocument } from './status-document.ts';

const ANSWER_MS = 1000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_ASKED = 256;
/** Who asks gets a short text and is done; nobody needs more of these at once. */
const MAX_ASKERS = 16;

export interface StatusFolderInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly temporary: string;
  readonly uid: number | undefined;
}

/** The path of a unix socket is short by nature, so a home folder that is far away is not used. */
export function statusFolder(input: StatusFolderInput): string {
  const runtime = input.env['XDG_RUNTIME_DIR'] ?? '';
  if (runtime.startsWith('/') && runtime.length <= 70) return join(runtime, 'porthole');
  const state = input.env['XDG_STATE_HOME'] ?? '';
  const folder = join(state.startsWith('/') ? state : join(input.home, '.local', 'state'), 'porthole', 'run');
  return Buffer.byteLength(folder) <= 85 ? folder : join(input.temporary, `porthole-${input.uid ?? 'user'}`);
}

export interface StatusServer {
  close(): void;
}

/** Throws what the file system throws; a tunnel works without it. */
export function serveStatus(
  folder: string,
  owner: { readonly pid: number; readonly uid: number | undefined },
  describe: () => StatusDocument,
): StatusServer {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stats = statSync(folder);
  if (owner.uid !== undefined && stats.uid !== owner.uid) throw new Error(`${folder} belongs to another user`);
  chmodSync(folder, 0o700);
  const path = join(folder, `${owner.pid}.sock`);
  // A former process may have had our number.
  rmSync(path, { force: true });
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.end(JSON.stringify(describe()));
  });
  server.maxConnections = MAX_ASKERS;
  server.on('error', () => {});
  server.listen(path);
  // Being asked is no reason to go on.
  server.unref();
  return {
    close() {
      server.close();
      rmSync(path, { force: true });
    },
  };
}

/** Asks all agents of this user on this machine. Sockets whose process is gone are removed. */
export async function askAll(folder: string): Promise<StatusDocument[]> {
  const answers = await Promise.all(
    listSockets(folder).map((name) => ask(join(folder, name), Number.parseInt(name, 10))),
  );
  return answers
    .filter((answer) => answer !== undefined)
    .sort((a, b) => a.started_at.localeCompare(b.started_at) || a.pid - b.pid);
}

function listSockets(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d+\.sock$/.test(name))
      .slice(0, MAX_ASKED);
  } catch {
    return [];
  }
}

function ask(path: string, pid: number): Promise<StatusDocument | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    let text = '';
    const unresponsive = (): StatusDocument => ({ pid, started_at: '', relay: '', state: 'unresponsive', tunnels: [] });
    socket.setEncoding('utf8');
    // A stopped process still has its socket; saying so is the truth about it.
    socket.setTimeout(ANSWER_MS, () => {
      resolve(unresponsive());
      socket.destroy();
    });
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > MAX_ANSWER_BYTES) socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') rmSync(path, { force: true });
      resolve(undefined);
    });
    socket.on('close', () => resolve(parseAnswer(text) ?? unresponsive()));
  });
}

function parseAnswer(text: string): StatusDocument | undefined {
  try {
    return statusSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
