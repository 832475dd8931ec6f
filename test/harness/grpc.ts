/** A gRPC service of the four kinds of calls, in bytes: no .proto files and no generated code. */
import * as grpc from '@grpc/grpc-js';

const bytes = (value: Buffer): Buffer => value;

function method(name: string, requestStream: boolean, responseStream: boolean): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    path: `/porthole.test.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
}

export const ECHO = {
  unary: method('Unary', false, false),
  collect: method('Collect', true, false),
  repeat: method('Repeat', false, true),
  chat: method('Chat', true, true),
} as const satisfies grpc.ServiceDefinition;

export interface GrpcOrigin {
  readonly port: number;
  readonly server: grpc.Server;
  /** Calls that were cancelled before they were answered. */
  readonly cancelled: string[];
  /** Resolves when that many have been. */
  untilCancelled(count: number): Promise<void>;
  /** Calls open now. */
  readonly open: () => number;
  close(): Promise<void>;
}

/**
 * `unary` echoes message and metadata (`fail: code` fails, `hold` never answers), `collect` joins, `repeat` sends what it
 * got `times` times, `chat` echoes each.
 */
export async function startGrpcOrigin(credentials = grpc.ServerCredentials.createInsecure()): Promise<GrpcOrigin> {
  const server = new grpc.Server({
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
  const cancelled: string[] = [];
  let watchers: (() => void)[] = [];
  let open = 0;
  const track = (name: string, call: NodeJS.EventEmitter): void => {
    open += 1;
    call.on('cancelled', () => {
      cancelled.push(name);
      for (const watcher of watchers.splice(0)) watcher();
    });
  };
  server.addService(ECHO, {
    unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      track('unary', call);
      const [fail] = call.metadata.get('fail');
      const back = new grpc.Metadata();
      back.set('echo-bin', Buffer.from([0, 1, 254, 255]));
      back.set('authority', call.getHost());
      for (const value of call.metadata.get('x-own')) back.add('x-own', value);
      if (call.metadata.get('hold').length > 0) return;
      const trailers = new grpc.Metadata();
      trailers.set('late-bin', Buffer.from('late'));
      if (fail !== undefined) {
        done({ code: Number(fail), details: 'as asked: ünï', metadata: trailers });
        return;
      }
      call.sendMetadata(back);
      done(null, call.request, trailers);
    },
    collect: (call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      track('collect', call);
      const parts: Buffer[] = [];
      call.on('data', (part: Buffer) => {
        parts.push(part);
        if (part.toString() === 'enough') done({ code: grpc.status.OUT_OF_RANGE, details: 'enough' });
      });
      call.on('end', () => done(null, Buffer.concat(parts)));
    },
    repeat: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      track('repeat', call);
      const times = Number(call.metadata.get('times')[0] ?? 3);
      let left = times;
      const go = (): void => {
        while (left > 0) {
          left -= 1;
          if (!call.write(call.request)) {
            call.once('drain', go);
            return;
          }
        }
        call.end();
      };
      go();
    },
    chat: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      track('chat', call);
      call.on('data', (part: Buffer) => {
        if (part.toString() === 'die') call.emit('error', { code: grpc.status.ABORTED, details: 'died' });
        else call.write(part);
      });
      call.on('end', () => call.end());
      call.on('error', () => undefined);
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error))),
  );
  return {
    port,
    server,
    cancelled,
    open: () => open,
    untilCancelled: async (count) => {
      while (cancelled.length < count) await new Promise<void>((resolve) => watchers.push(resolve));
    },
    close: async () => {
      watchers = [];
      server.forceShutdown();
    },
  };
}

/** Dials the relay's plain address for a tunnel's host. */
export function grpcChannel(port: number, authority: string, options: grpc.ClientOptions = {}): grpc.Client {
  return new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    'grpc.default_authority': authority,
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.use_local_subchannel_pool': 1,
    ...options,
  });
}

export interface UnaryResult {
  readonly error: grpc.ServiceError | null;
  readonly message: Buffer | undefined;
  readonly metadata: grpc.Metadata | undefined;
  readonly status: grpc.StatusObject;
}

export function unary(
  channel: grpc.Client,
  message: Buffer,
  metadata = new grpc.Metadata(),
  options: grpc.CallOptions = {},
): Promise<UnaryResult> & { call: grpc.ClientUnaryCall } {
  let call!: grpc.ClientUnaryCall;
  const promise = new Promise<UnaryResult>((resolve) => {
    let heads: grpc.Metadata | undefined;
    let error: grpc.ServiceError | null = null;
    let answer: Buffer | undefined;
    const { path, requestSerialize, responseDeserialize } = ECHO.unary;
    call = channel.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      metadata,
      options,
      (failed, value) => {
        error = failed;
        answer = value;
      },
    );
    call.on('metadata', (found) => (heads = found));
    call.on('status', (status) => setImmediate(() => resolve({ error, message: answer, metadata: heads, status })));
  });
  return Object.assign(promise, { call });
}
