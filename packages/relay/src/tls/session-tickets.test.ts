import { once } from 'node:events';
import { connect, createServer } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { FakeStore } from '../../../../test/contracts/store.contract-fake.ts';
import { TestAuthority } from '../../../../test/harness/certificates.ts';
import { Listener } from '../../../../test/harness/listener.ts';
import { CertificateIndex } from './certificate-index.ts';
import { SessionTickets } from './session-tickets.ts';

describe('SessionTickets', () => {
  it('gives every process the same 48 bytes, and all of them new ones when they are old', async () => {
    let now = 0;
    const store = new FakeStore();
    const seen: string[][] = [[], [], []];
    const processes = seen.map(
      (keys) =>
        new SessionTickets({
          store,
          rotateEveryMs: 1000,
          now: () => now,
          onKeys: (bytes) => keys.push(bytes.toString('hex')),
        }),
    );
    await Promise.all(processes.map(async (process) => await process.start()));
    expect(seen.map((keys) => keys.at(-1))).toEqual(Array.from({ length: 3 }, () => seen[0]?.at(-1)));
    expect(seen[0]?.at(-1)).toHaveLength(96);
    now = 999;
    await processes[0]?.rotateIfDue();
    const before = seen[0]?.length;
    expect(seen[1]?.at(-1)).toBe(seen[0]?.at(-1));
    now = 1000;
    await Promise.all(processes.map(async (process) => await process.rotateIfDue()));
    expect(seen[0]?.length).toBe((before ?? 0) + 1);
    expect(new Set(seen.map((keys) => keys.at(-1))).size).toBe(1);
    for (const process of processes) process.close();
  });

  it('replaces what is no key', async () => {
    const store = new FakeStore();
    await store.put('tls/session-tickets', { keys: 'AAAA', madeAtMs: Date.now() });
    const seen: Buffer[] = [];
    const tickets = new SessionTickets({ store, onKeys: (keys) => seen.push(keys) });
    await tickets.start();
    tickets.close();
    expect(seen.map((keys) => keys.length)).toEqual([48]);
  });

  it('lets a visitor resume with another server', async () => {
    const authority = new TestAuthority();
    const { keyPem, chainPem } = authority.issue(['a.example']);
    const index = new CertificateIndex();
    index.set({ id: 'a', names: ['a.example'], keyPem, chainPem, notAfterMs: 1 });
    const store = new FakeStore();
    const servers = await Promise.all(
      [0, 1].map(async () => {
        const server = createServer(
          { key: keyPem, cert: chainPem, SNICallback: (name, done) => done(null, index.choose(name)) },
          (socket) => socket.end('hello'),
        );
        const tickets = new SessionTickets({ store, onKeys: (keys) => server.setTicketKeys(keys) });
        await tickets.start();
        return { listener: await new Listener(server).listen(), tickets };
      }),
    );
    const visit = async (port: number, session?: Buffer): Promise<{ reused: boolean; session: Buffer | undefined }> => {
      const socket = connect({
        port,
        host: '127.0.0.1',
        servername: 'a.example',
        ca: authority.certificatePem,
        ...(session === undefined ? {} : { session }),
      });
      let ticket: Buffer | undefined;
      socket.on('session', (bytes: Buffer) => (ticket = bytes));
      await once(socket.resume(), 'secureConnect');
      const reused = socket.isSessionReused();
      await once(socket, 'close');
      return { reused, session: ticket };
    };
    const first = await visit(servers[0]?.listener.port ?? 0);
    expect(first.reused).toBe(false);
    expect((await visit(servers[1]?.listener.port ?? 0, first.session)).reused).toBe(true);
    for (const { listener, tickets } of servers) {
      tickets.close();
      await listener.close();
    }
  });
});
