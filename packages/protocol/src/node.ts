/**
 * Binds the pure protocol to Node: carriers over sockets and WebSockets, the pump that moves frames between a lane and
 * its carrier, and the clock. With the folder beside it, all of this package that knows sockets and timers.
 */
export type { Carrier, CarrierReceiver } from './node/carrier.ts';
export { monotonicNow } from './node/clock.ts';
export { connectionHandle } from './node/connection-handle.ts';
export { H2_CONNECTION_FIELDS, h2Headers } from './node/h2-headers.ts';
export { LanePump, type PumpEvents } from './node/lane-pump.ts';
export { type ByteReader, hasLeft, readMemory, ReadTap, tapOf, TappedSocket, toKeep } from './node/read-tap.ts';
export { tapSecureSocket } from './node/tap-secure-socket.ts';
export { SocketCarrier } from './node/socket-carrier.ts';
export { type Flushable, TurnQueue } from './node/turn-queue.ts';
export { WebSocketCarrier, type WebSocketLike } from './node/web-socket-carrier.ts';
