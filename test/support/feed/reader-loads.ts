import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** What became of the requests of a load so far. */
export interface LoadCounts {
  /** Answers by status; `failed`: there was none. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Bodies of a 200 that were read to their end. */
  readonly whole: number;
  /** Bodies of a 200 that broke off. */
  readonly cut: number;
}

/** Readers that go on until they are stopped. */
export interface RunningLoad {
  counts(): LoadCounts;
  /** Breaks off what is open. */
  stop(): void;
}

/** How one reader behaves: what it asks for, and whether it reads what it gets. */
interface Behaviour {
  readonly readers: number;
  readonly path: (reader: number) => string;
  readonly reads: boolean;
  /** Goes on behind what it has, as a reader of the feed does that follows it. */
  readonly follows?: boolean;
}

const PAUSE_AFTER_REFUSAL_MS = 1_000;
const all = 'limit=1000000000';

/** The loads of the security tests. `head` is the last position; ids are those of organizations. */
export const behaviours = (head: number, ids: readonly string[]) =>
  ({
    'stalled readers': { readers: 50, path: () => `/v1/events?after=0&${all}`, reads: false },
    'fast readers': { readers: 50, path: () => '/v1/events?after=0&limit=6000', reads: true },
    'stalled exports': { readers: 50, path: () => '/v1/search?format=ndjson', reads: false },
    'long polls': {
      readers: 200,
      path: (reader) => `/v1/events?after=${head}&limit=100&wait=30&organization=${ids[reader % ids.length]}`,
      reads: true,
      follows: true,
    },
    'readers of OCSF': { readers: 2, path: () => '/v1/events?after=0&limit=60000&format=ocsf', reads: true },
    exports: { readers: 20, path: () => '/v1/search?format=csv', reads: true },
  }) satisfies Record<string, Behaviour>;

export type LoadName = keyof ReturnType<typeof behaviours>;

/** Starts readers of one behaviour against a daemon, every second one with compression; each asks again as soon as its answer has ended. */
export const startLoad = (url: string, { readers, path, reads, follows }: Behaviour): RunningLoad => {
  const paths = Array.from({ length: readers }, (_, reader) => path(reader));
  const statuses: Record<string, number> = {};
  const open = new Set<ClientRequest>();
  let [whole, cut, stopped] = [0, 0, false];
  /** True where it was answered with events. */
  const ask = async (reader: number): Promise<boolean> => {
    const headers = reader % 2 === 1 ? { 'accept-encoding': 'zstd' } : {};
    const request = get(`${url}${paths[reader]}`, { agent: false, headers });
    open.add(request);
    const closed = new Promise<void>((resolve) => request.once('close', resolve));
    const response = await new Promise<IncomingMessage | undefined>((resolve) => {
      request.once('response', resolve).once('error', () => resolve(undefined));
      request.once('close', () => resolve(undefined));
    });
    if (stopped) return false;
    const status = response?.statusCode ?? 'failed';
    statuses[status] = (statuses[status] ?? 0) + 1;
    response?.on('error', () => {});
    // One that does not read does not even notice that the server has cut it.
    if (reads || status !== 200) response?.resume();
    await closed;
    open.delete(request);
    if (stopped || response === undefined || status !== 200) return false;
    const next = response.headers['orgtrail-next-position'];
    if (follows === true) paths[reader] = paths[reader]?.replace(/after=\d+/, `after=${next}`) ?? '';
    if (response.complete) whole += 1;
    else cut += 1;
    return true;
  };
  const keepAsking = async (reader: number) => {
    while (!stopped) {
      if (!(await ask(reader))) await sleep(PAUSE_AFTER_REFUSAL_MS, undefined, { ref: false });
    }
  };
  for (let reader = 0; reader < readers; reader += 1) void keepAsking(reader);
  return {
    counts: () => ({ statuses: { ...statuses }, whole, cut }),
    stop: () => {
      stopped = true;
      for (const request of open) request.destroy();
    },
  };
};
