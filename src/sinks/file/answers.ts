/** The code of an error of the file system; empty if it has none. */
export const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the disk',
  EDQUOT: 'the quota of the disk is used up',
  EACCES: 'this account may not write there',
  EPERM: 'this account may not write there',
  EROFS: 'the file system is read-only',
  ENOENT: 'the directory does not exist',
  ENOTDIR: 'the directory does not exist',
  EISDIR: 'it is a directory',
  EFBIG: 'the file is larger than is allowed',
  EIO: 'the disk has an error',
};

/** Why nothing could be written. */
export const reasonFor = (error: unknown): string => {
  const code = codeOf(error);
  const words = reasons[code] ?? (error instanceof Error ? error.message : String(error));
  return `${words}${code === '' ? '' : ` (${code})`}`;
};
