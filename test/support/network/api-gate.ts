import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { freePorts } from './free-ports.ts';

/** `refused`: the port is closed. `silent`: takes connections and requests, never answers. `reset`: breaks off at the first byte. */
type GateMode = 'open' | 'refused' | 'silent' | 'reset';

/** The way to an API, which can be down in the ways that an API is down. */
export interface ApiGate extends AsyncDisposable {
  readonly port: number;
  /** Breaks what is open, and treats every later connection so. */
  setMode(mode: GateMode): Promise<void>;
}

/** Passes on to `targetPort` of this machine while it is open. */
export const startApiGate = async (targetPort: number): Promise<ApiGate> => {
  const sockets = new Set<Socket>();
  let mode: GateMode = 'open';
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    keep(near);
    if (mode === 'reset') near.once('data', () => near.resetAndDestroy());
    else if (mode === 'silent') near.resume();
    else {
      const far = connect(targetPort, '127.0.0.1');
      keep(far);
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
      near.pipe(far).pipe(near);
    }
  });
  const [port = 0] = await freePorts(1);
  const listen = async () => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen();
  const setMode = async (next: GateMode) => {
    mode = next;
    if (next === 'refused' && server.listening) {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    }
    for (const socket of sockets) socket.destroy();
    if (next !== 'refused' && !server.listening) await listen();
  };
  return { port, setMode, [Symbol.asyncDispose]: () => setMode('refused') };
};
