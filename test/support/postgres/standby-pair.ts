import { type PostgresCluster, type Standby, startCluster, startStandby } from './postgres-cluster.ts';
import { type PostgresProxy, startPostgresProxy } from './wire/postgres-proxy.ts';

/** A server and its standby. */
export interface StandbyPair extends AsyncDisposable {
  readonly primary: PostgresCluster;
  readonly standby: Standby;
  /** The address that moves, as a virtual IP or a name does. */
  readonly proxy: PostgresProxy;
}

export const startPair = async (options: {
  readonly asynchronous: boolean;
  readonly settings?: Readonly<Record<string, string>>;
}): Promise<StandbyPair> => {
  const stack = new AsyncDisposableStack();
  const primary = stack.use(await startCluster({ settings: options.settings ?? {} }));
  const standby = stack.use(await startStandby(primary, { asynchronous: options.asynchronous }));
  const proxy = stack.use(await startPostgresProxy(primary));
  return { primary, standby, proxy, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};
