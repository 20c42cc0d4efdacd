import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { PageServerOptions } from '../served/page-server.ts';
import type { ContenderName, ContenderOptions, ContenderOrder } from './contender.ts';

/** The server of the pages, in a process of its own. */
export interface PageSource extends AsyncDisposable {
  /** `set`: the same logs under other ids of organizations. */
  baseUrl(set?: number): string;
  organizations(set?: number): readonly string[];
  /** In all logs together. */
  readonly entries: number;
  requests(): Promise<{ readonly audit: number; readonly other: number }>;
}

export interface RunningContender extends AsyncDisposable {
  readonly pid: number;
  prepare(options: ContenderOptions): Promise<void>;
  run(): Promise<{ readonly seconds: number; readonly entries: number }>;
}

/** Sends a message, if there is one, and resolves with the next that comes back; rejects where the process ends instead. */
const ask = async (child: ChildProcess, message: unknown): Promise<Record<string, unknown>> => {
  const over = new AbortController();
  const { signal } = over;
  const gone = once(child, 'exit', { signal }).then(([code]) => {
    throw new Error(`a process of the benchmark ended with ${code}`);
  });
  gone.catch(() => {});
  try {
    const answer = once(child, 'message', { signal });
    answer.catch(() => {});
    if (message !== undefined) child.send(message as object);
    const [value] = (await Promise.race([answer, gone])) as [Record<string, unknown>];
    if ('error' in value) throw new Error(String(value['error']));
    return value;
  } finally {
    over.abort();
  }
};

const start = (file: string, argument: string): ChildProcess =>
  fork(fileURLToPath(new URL(file, import.meta.url)), [argument], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });

const end = async (child: ChildProcess): Promise<void> => {
  const gone = once(child, 'exit');
  child.disconnect();
  await gone;
};

export const startPageSource = async (options: PageServerOptions): Promise<PageSource> => {
  const child = start('../served/page-server.ts', JSON.stringify(options));
  const { origin, entries, organizations } = (await ask(child, undefined)) as unknown as {
    origin: string;
    entries: number;
    organizations: readonly string[];
  };
  return {
    entries,
    baseUrl: (set) => `${origin}${set === undefined ? '' : `/set-${set}`}/client/v4`,
    organizations: (set) =>
      set === undefined ? organizations : organizations.map((id) => `${String(set).padStart(4, '0')}${id.slice(4)}`),
    requests: async () => (await ask(child, 'requests')) as unknown as { audit: number; other: number },
    [Symbol.asyncDispose]: () => end(child),
  };
};

export const startContender = (name: ContenderName): RunningContender => {
  const child = start('contender.ts', name);
  const order = (message: ContenderOrder) => ask(child, message);
  return {
    pid: child.pid ?? 0,
    prepare: async (options) => void (await order({ do: 'prepare', options })),
    run: async () => (await order({ do: 'run' })) as unknown as { seconds: number; entries: number },
    [Symbol.asyncDispose]: () => end(child),
  };
};
