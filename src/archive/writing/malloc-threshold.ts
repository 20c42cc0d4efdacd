/** What glibc reads at the start of a process, and never again. */
const VARIABLE = 'MALLOC_MMAP_THRESHOLD_';
const THRESHOLD_BYTES = 1_048_576;

/** The commands that make objects; for others it would be a slower start alone. */
const commands: readonly (string | undefined)[] = ['run', 'archive'];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Starts this process over, with the same number, if it may write an archive: pieces of memory from 1 MiB on then go back to the system as soon as they
 * are not used any more. By itself glibc keeps pieces of up to 32 MB for later once the first one was given back, and the buffers of an archive are as
 * large as that: the peak of `archive run` is 41 MB lower (decision 84). A value of the user's stays. Does nothing if the system is not Linux; another
 * libc than glibc does not look at it. `settings` are the environment and what a `.env` adds to it.
 */
export const giveBackLargeMemory = (settings: Environment, environment: Environment): void => {
  const mayArchive = settings['ORGTRAIL_ARCHIVE'] !== undefined || settings['ORGTRAIL_CONFIG'] !== undefined;
  if (!mayArchive || !commands.includes(process.argv[2]) || environment[VARIABLE] !== undefined) return;
  if (process.platform !== 'linux' || process.execve === undefined) return;
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(process.execPath, args, { ...environment, [VARIABLE]: String(THRESHOLD_BYTES) });
};
