/** Loaded into a program under test (`--import`): every host name is this machine. */
import dns from 'node:dns';

dns.lookup = (_name, options, done) => {
  const callback = typeof options === 'function' ? options : done;
  const address = { address: '127.0.0.1', family: 4 };
  if (typeof options === 'object' && options.all === true) process.nextTick(callback, null, [address]);
  else process.nextTick(callback, null, address.address, address.family);
};
