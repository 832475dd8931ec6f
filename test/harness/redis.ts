/** Debian's Redis server on a free port, empty and without a disk. */
import { installed } from './debian.ts';
import { freePortRange } from './free-ports.ts';
import { Program } from './program.ts';
import { tempFolder } from './temp-folder.ts';

export interface Redis {
  readonly port: number;
  close(): Promise<void>;
}

export async function startRedis(): Promise<Redis> {
  const folder = tempFolder();
  const { first: port } = await freePortRange(1);
  const program = new Program({
    name: 'redis-server',
    command: installed('redis-server') ?? '',
    args: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder.path],
  });
  await program.waitForLine('redis is ready', (line) => /Ready to accept connections/.test(line) || undefined);
  const close = async (): Promise<void> => {
    await program.close();
    folder.remove();
  };
  return { port, close };
}
