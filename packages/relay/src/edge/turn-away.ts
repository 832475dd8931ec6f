/** The last answer to somebody whose connection is not taken any further. */
import type * as net from 'node:net';

/** Costs one write; whoever does not take the answer at once has missed it. */
export function turnAway(socket: net.Socket, answer: string): void {
  socket.on('error', () => undefined);
  socket.write(answer, 'latin1');
  socket.destroySoon();
  // What he has sent is read off, or the close would be a reset that takes the answer with it.
  socket.resume();
}
