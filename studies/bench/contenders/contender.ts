// One contender in a process of its own, so that its CPU time and memory can be told from those of the others. Started by
// contender-process.ts, which sends what it is to do.
import process from 'node:process';
import { copyContender } from './copy-contender.ts';
import { orgtrailContender } from './orgtrail-contender.ts';
import { readContender } from './read-contender.ts';
import { sdkContender } from './sdk-contender.ts';

export interface ContenderOptions {
  readonly databaseUrl: string;
  /** Base URL of the API. */
  readonly baseUrl: string;
  /** In the order of the listing. */
  readonly organizations: readonly string[];
  /** The slow ones stop after so many entries; orgtrail reads all. */
  readonly entries: number;
  readonly concurrency: number;
}

export interface Contender {
  /** What is not measured. */
  prepare(options: ContenderOptions): Promise<void>;
  /** Resolves with the number of entries dealt with. */
  run(): Promise<number>;
  close(): Promise<void>;
}

const contenders = {
  orgtrail: orgtrailContender,
  copy: () => copyContender(1),
  'copy-2': () => copyContender(2),
  'sdk-single': () => sdkContender(1),
  'sdk-500': () => sdkContender(500),
  read: readContender,
} as const satisfies Readonly<Record<string, () => Contender>>;

export type ContenderName = keyof typeof contenders;

export type ContenderOrder = { readonly do: 'prepare'; readonly options: ContenderOptions } | { readonly do: 'run' };

if (process.send !== undefined) {
  const contender: Contender = contenders[process.argv[2] as ContenderName]();
  const obey = async (order: ContenderOrder): Promise<{ seconds: number; entries: number }> => {
    if (order.do === 'prepare') {
      await contender.prepare(order.options);
      return { seconds: 0, entries: 0 };
    }
    const startedAt = performance.now();
    const entries = await contender.run();
    return { seconds: (performance.now() - startedAt) / 1_000, entries };
  };
  process.on('message', (order: ContenderOrder) => {
    obey(order).then(
      (answer) => process.send?.(answer),
      (error: unknown) => process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : error }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
