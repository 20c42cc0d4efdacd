import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { startOrgtrail } from '../support/process/orgtrail-process.ts';

test.skipIf(process.platform !== 'linux')(
  'what may write an archive gives large memory back, in the same process',
  async () => {
    expect(await thresholdOf(['archive', 'run'], archive)).toEqual(['MALLOC_MMAP_THRESHOLD_=1048576']);
    expect(await thresholdOf(['run'], archive)).toEqual(['MALLOC_MMAP_THRESHOLD_=1048576']);
    const own = { MALLOC_MMAP_THRESHOLD_: '65536' };
    expect(await thresholdOf(['archive', 'run'], { ...archive, ...own })).toEqual(['MALLOC_MMAP_THRESHOLD_=65536']);
    expect(await thresholdOf(['run'], {})).toEqual([]);
    expect(await thresholdOf(['status'], archive)).toEqual([]);
  },
);

/** Runs a command against a database that accepts connections and never answers, until it connects. Resolves with what it has of the threshold. */
const thresholdOf = async (args: readonly string[], env: Readonly<Record<string, string>>): Promise<string[]> => {
  const server = createServer();
  const connected = new Promise<void>((resolve) => server.once('connection', () => resolve()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const url = `postgres://orgtrail@127.0.0.1:${port}/orgtrail`;
  const { child, ended, stderr } = startOrgtrail(args, { DATABASE_URL: url, CLOUDFLARE_API_TOKEN: 'none', ...env });
  try {
    await Promise.race([connected, ended.then(() => Promise.reject(new Error(stderr())))]);
    const variables = (await readFile(`/proc/${child.pid}/environ`, 'utf8')).split('\0');
    expect(stderr()).not.toContain('Warning');
    return variables.filter((each) => each.startsWith('MALLOC_'));
  } finally {
    child.kill('SIGKILL');
    await ended;
    server.close();
  }
};

const archive = { ORGTRAIL_ARCHIVE: 'file:///nowhere' };
