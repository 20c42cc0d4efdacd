import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/**
 * Carries TLS over a TCP connection that stays in the hands of its owner. Node's own TLS socket takes the connection over,
 * and then a reset, the end of TCP and close_notify all look alike. The end of TCP does not come through, so that an end
 * that TLS reports is the other side's close_notify; nor does TLS's own end close the sending side of TCP.
 */
export const tlsTunnel = (tcp: Socket): Duplex => {
  const tunnel = new Duplex({
    read: () => {
      tcp.resume();
    },
    write: (chunk: Buffer, _encoding, done) => {
      tcp.write(chunk, done);
    },
  });
  tcp.on('data', (chunk: Buffer) => {
    // What comes after TLS has ended is read and dropped: unread, it would keep the end of TCP from being seen.
    if (!tunnel.destroyed && !tunnel.push(chunk)) tcp.pause();
  });
  tunnel.on('close', () => tcp.resume());
  return tunnel;
};
