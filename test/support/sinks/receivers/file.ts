import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Arrived, ReceiverKind } from '../receivers.ts';

const linesOf = async (path: string): Promise<Arrived[]> => {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => ({ text: line }));
};

export const receiver: ReceiverKind = {
  start: async () => {
    const folder = await mkdtemp(join(tmpdir(), 'orgtrail-file-receiver-'));
    const directory = join(folder, 'here');
    await mkdir(directory);
    const path = join(directory, 'audit.ndjson');
    const moved: string[] = [];
    return {
      settings: { type: 'file', path },
      received: async () => (await Promise.all([...moved, path].map(linesOf))).flat(),
      stop: () => rename(directory, join(folder, 'away')),
      restart: () => rename(join(folder, 'away'), directory),
      // As logrotate does.
      disturb: async () => {
        const aside = join(folder, `moved-${moved.length}`);
        await rename(path, aside).then(
          () => moved.push(aside),
          () => {},
        );
      },
      breaches: () => [],
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    };
  },
  awayReason: /^the directory does not exist \(ENOENT\)$/,
  hang: undefined,
  hangReason: /never/,
  canRefuse: false,
  // Only a process that dies between writing and recording leaves some.
  repeats: 'none',
  http: undefined,
};
