/** Sockets that systemd bound for us (sd_listen_fds(3)): they come after the three standard ones. */
import { closeSync } from 'node:fs';
import type { BoundSocket } from './bound-socket.ts';
import type { SocketRole } from './channel-messages.ts';

const FIRST_FD = 3;
const MOST = 16;

/** `FileDescriptorName=` of the socket unit says what a socket is for, otherwise their order does. */
const ROLES: readonly SocketRole[] = ['http', 'https', 'admin'];

/** Empty when the environment speaks of another process or of none. */
export function inheritedSockets(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): Map<SocketRole, BoundSocket> {
  const found = new Map<SocketRole, BoundSocket>();
  const count = Math.min(Number(environment['LISTEN_FDS'] ?? 0), MOST);
  if (environment['LISTEN_PID'] !== String(pid) || !Number.isInteger(count)) return found;
  const names = (environment['LISTEN_FDNAMES'] ?? '').split(':');
  for (let index = 0; index < count; index += 1) {
    const named = ROLES.find((role) => role === names[index]);
    const role = named ?? ROLES[index];
    const fd = FIRST_FD + index;
    if (role !== undefined && !found.has(role)) found.set(role, { fd, handle: undefined, close: () => closeSync(fd) });
  }
  return found;
}
