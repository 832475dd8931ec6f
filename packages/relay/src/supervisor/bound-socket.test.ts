import { once } from 'node:events';
import net from 'node:net';
import { constants } from 'node:os';
import { afterEach, expect, it, vi } from 'vitest';
import { bindSocket } from './bound-socket.ts';

afterEach(() => void vi.restoreAllMocks());

it('a port that is taken is named', async () => {
  const other = net.createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as net.AddressInfo;
  await expect(bindSocket(port, '127.0.0.1')).rejects.toMatchObject({
    code: 'ADDRESS_IN_USE',
    detail: `127.0.0.1:${port}`,
  });
  await once(other.close(), 'close');
});

it('an address of another machine is not said to be taken', async () => {
  // Of TEST-NET-1 (RFC 5737), which no machine has.
  await expect(bindSocket(0, '192.0.2.1')).rejects.toMatchObject({
    code: 'ADDRESS_NOT_HERE',
    detail: '192.0.2.1:0: EADDRNOTAVAIL',
  });
});

// No resolver is asked for a name without sense.
it('a host that does not exist is said to be none of this machine', async () => {
  await expect(bindSocket(0, 'a..b')).rejects.toMatchObject({
    code: 'ADDRESS_NOT_HERE',
    detail: expect.stringMatching(/^a\.\.b:0: (ENOTFOUND|EAI_AGAIN)$/),
  });
});

it('a port that takes a right is not said to be taken, whatever may listen there', async () => {
  // Simulated: root may, and so may everybody in many containers.
  const create = vi.fn(() => -constants.errno.EACCES);
  vi.spyOn(net as unknown as { _createServerHandle: typeof create }, '_createServerHandle').mockImplementation(create);
  for (const [host, where] of [
    ['127.0.0.1', '127.0.0.1:80'],
    [undefined, ':80'],
  ] as const)
    await expect(bindSocket(80, host)).rejects.toMatchObject({ code: 'ADDRESS_FORBIDDEN', detail: `${where}: EACCES` });
  expect(create).toHaveBeenCalledTimes(3);
});
