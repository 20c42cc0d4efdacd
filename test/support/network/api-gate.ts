import { connect, createServer } from 'node:net';
import { freePorts } from './free-ports.ts';
import { listen } from './listen.ts';
import { passOn } from './tcp-proxy.ts';

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
  let mode: GateMode = 'open';
  const server = createServer((near) => {
    if (mode === 'reset') near.once('data', () => near.resetAndDestroy());
    else if (mode === 'silent') near.resume();
    else passOn(near, connect(targetPort, '127.0.0.1'));
  });
  const [port = 0] = await freePorts(1);
  const { stop, restart, breakAll } = await listen(server, port);
  const setMode = async (next: GateMode) => {
    mode = next;
    breakAll();
    if (next === 'refused') await stop();
    else if (!server.listening) await restart();
  };
  return { port, setMode, [Symbol.asyncDispose]: stop };
};
