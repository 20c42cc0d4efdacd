import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../../base/errors.ts';
import type { Delivery, DeliveryOutcome, Sink } from '../delivery.ts';
import { commonSettings, sinkKind } from '../sink-kind.ts';

const { O_APPEND, O_CREAT, O_RDWR } = constants;
const NEWLINE = 0x0a;
/** Step of the search backwards for the last whole line. */
const LOOK_BACK_BYTES = 65_536;
/** Identifies the open file: another may take its path at any time. */
type OpenFile = { readonly handle: FileHandle; readonly device: bigint; readonly inode: bigint; sizeBytes: bigint };

/** Delivered is what is on the disk (fdatasync). At `max_bytes` the file becomes `NAME-TIME-POSITION.EXT`, with its last position. */
export const createFileSink = (settings: Pick<FileSettings, 'path' | 'max_bytes' | 'keep'>): Sink => {
  const { path, max_bytes: maxBytes } = settings;
  let current: OpenFile | undefined;
  /** Last position of a full file that could not be put aside yet. */
  let fullAt: number | undefined;

  const close = async (): Promise<void> => {
    const file = current;
    current = undefined;
    await file?.handle.close();
  };
  const putAside = async (): Promise<void> => {
    if (fullAt === undefined) return;
    await close();
    await rotate(settings, fullAt);
    fullAt = undefined;
  };
  const append = async ({ events }: Delivery): Promise<void> => {
    await putAside();
    if (current !== undefined && !(await isAt(path, current))) await close();
    current ??= await openFile(path);
    const bytes = Buffer.from(events.map(({ text }) => `${text}\n`).join(''), 'utf8');
    await current.handle.appendFile(bytes);
    await current.handle.datasync();
    current.sizeBytes += BigInt(bytes.length);
    if (current.sizeBytes < maxBytes) return;
    fullAt = events.at(-1)?.event.position;
    // On the disk even if this fails: the next delivery retries and reports the error.
    await putAside().catch(() => {});
  };

  return {
    target: path,
    deliver: async (delivery, signal): Promise<DeliveryOutcome> => {
      signal.throwIfAborted();
      try {
        await append(delivery);
        return { kind: 'delivered', refused: [] };
      } catch (error) {
        // Opened again, it is cut back to its last whole line.
        await close().catch(() => {});
        return { kind: 'failed', reason: reasonFor(error), because: 'receiver' };
      }
    },
    close,
  };
};

const openFile = async (path: string): Promise<OpenFile> => {
  const handle = await open(path, O_APPEND | O_CREAT | O_RDWR, 0o600);
  try {
    const { dev, ino, size } = await requireFile(handle);
    const sizeBytes = await cutOffPart(handle, Number(size));
    if (sizeBytes === 0) await syncDirectory(path);
    return { handle, device: dev, inode: ino, sizeBytes: BigInt(sizeBytes) };
  } catch (error) {
    await handle.close();
    throw error;
  }
};

const requireFile = async (handle: FileHandle) => {
  const facts = await handle.stat({ bigint: true });
  if (!facts.isFile()) throw new Error('is not a regular file');
  return facts;
};

/** A last line without its end was being written when a process died, and never counted as delivered. Returns the size. */
const cutOffPart = async (handle: FileHandle, sizeBytes: number): Promise<number> => {
  let end = sizeBytes;
  while (end > 0) {
    const start = Math.max(0, end - LOOK_BACK_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(end - start), 0, end - start, start);
    const found = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE);
    end = start;
    if (found < 0) continue;
    end = start + found + 1;
    break;
  }
  if (end < sizeBytes) await handle.truncate(end);
  return end;
};

/** False if the path is free or names another file. */
const isAt = async (path: string, { device, inode }: OpenFile): Promise<boolean> => {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return dev === device && ino === inode;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
};

const rotate = async ({ path, keep }: Pick<FileSettings, 'path' | 'keep'>, lastPosition: number): Promise<void> => {
  const extension = extname(path);
  const name = basename(path, extension);
  const directory = dirname(path);
  const time = new Date().toISOString().replaceAll(/[-:.]/g, '');
  await rename(path, join(directory, `${name}-${time}-${lastPosition}${extension}`)).catch((error: unknown) => {
    // Another program has already moved it aside.
    if (codeOf(error) !== 'ENOENT') throw error;
  });
  await syncDirectory(path);
  if (keep === undefined) return;
  const isOwn = (file: string) =>
    file.startsWith(`${name}-`) &&
    file.endsWith(extension) &&
    /^\d{8}T\d{9}Z-\d+$/.test(file.slice(name.length + 1, file.length - extension.length));
  // By time: all names have one length.
  const aside = (await readdir(directory)).filter(isOwn).sort();
  for (const file of aside.slice(0, -keep)) await rm(join(directory, file), { force: true });
};

/** Makes the creation or renaming of a file survive a crash of the machine. */
const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(dirname(path));
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};

const settings = z.strictObject({
  type: z.literal('file'),
  ...commonSettings,
  path: z.string().min(1),
  max_bytes: z.int().min(1024).default(104_857_600),
  keep: z.int().min(1).optional(),
});

export const file = sinkKind({
  settings,
  // Two writers of one file would cut off each other's lines.
  exclusive: ({ path }) => ({ setting: 'path', value: resolve(path) }),
  create: createFileSink,
});

const reasonFor = (error: unknown): string => {
  const code = codeOf(error) ?? '';
  const words = reasons[code] ?? (error instanceof Error ? error.message : String(error));
  return `${words}${code === '' ? '' : ` (${code})`}`;
};

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

type FileSettings = z.infer<typeof settings>;
