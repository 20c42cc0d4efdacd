import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** libfaketime of Debian: scripts/install/deploy-tools.sh. */
const LIBRARY = [`/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`, '/usr/lib']
  .map((folder) => join(folder, 'faketime/libfaketimeMT.so.1'))
  .find((file) => existsSync(file));

/** Why no clock can be moved; undefined: it can. */
export const missingHostClock: string | undefined =
  LIBRARY === undefined ? 'there is no libfaketime (libfaketime of Debian)' : undefined;

/** The clock of a host, which is moved while its processes run. What counts seconds since the start goes on evenly, as on a real host. */
export interface HostClock extends AsyncDisposable {
  /** Variables of the processes that are on this host. */
  readonly environment: Readonly<Record<string, string>>;
  /** From now on the clock is so many seconds ahead. */
  set(aheadSeconds: number): Promise<void>;
}

export const openHostClock = async (): Promise<HostClock> => {
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-host-clock-'));
  // PostgreSQL runs as another account.
  await chmod(folder, 0o755);
  const file = join(folder, 'clock');
  const set = async (aheadSeconds: number) => {
    // In one step: who reads a half-written file would have any time.
    await writeFile(`${file}.next`, `${aheadSeconds < 0 ? '' : '+'}${aheadSeconds}\n`, { mode: 0o644 });
    await rename(`${file}.next`, file);
  };
  await set(0);
  return {
    environment: {
      LD_PRELOAD: LIBRARY ?? '',
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    },
    set,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
};
