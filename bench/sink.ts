/** An origin that reads request bodies and throws them away: answers each request once its whole body has arrived. */
import { createServer, type Socket } from 'node:net';

const ANSWER = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n', 'latin1');

function take(socket: Socket): void {
  let head = '';
  let left = 0;
  let terminator: { tail: string } | undefined;
  const answer = (): void => {
    socket.write(ANSWER);
    head = '';
    terminator = undefined;
  };
  socket.on('data', (chunk: Buffer) => {
    let bytes = chunk;
    if (left === 0 && terminator === undefined) {
      head += bytes.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return;
      const inBody = Buffer.from(head.slice(end + 4), 'latin1');
      const length = /^content-length:\s*(\d+)/im.exec(head.slice(0, end));
      if (length === null && /^transfer-encoding:\s*chunked/im.test(head.slice(0, end))) terminator = { tail: '' };
      left = Number(length?.[1] ?? 0);
      bytes = inBody;
      if (left === 0 && terminator === undefined) return answer();
    }
    if (terminator !== undefined) {
      // Bodies of the benchmarks are runs of zero bytes: the last chunk cannot be mistaken.
      terminator.tail = (terminator.tail + bytes.subarray(-8).toString('latin1')).slice(-8);
      if (terminator.tail.endsWith('\r\n0\r\n\r\n') || terminator.tail === '0\r\n\r\n') answer();
      return;
    }
    left -= bytes.length;
    if (left <= 0) {
      left = 0;
      answer();
    }
  });
  socket.on('error', () => socket.destroy());
}

const server = createServer({ noDelay: true }, take).listen(Number(process.argv[2] ?? 0), '127.0.0.1', () =>
  console.log('sink ready'),
);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
process.on('SIGTERM', () => setTimeout(() => process.exit(0), 200));
