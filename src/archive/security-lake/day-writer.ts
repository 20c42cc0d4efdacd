import { closeSync, openSync, writeSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { copyLines, ROWS_OF_GROUP } from '../parquet/write-parquet.ts';
import type { ObjectLimits } from '../ports.ts';
import type { ObjectStore } from '../store/ports.ts';
import { type LakeClass, ocsfColumns, writtenColumns } from './ocsf-columns.ts';

/** What every reader of Parquet knows: these objects are for services of others. */
const lakeFormat = { version: 1, zstdLevel: 6 } as const;

/** Where objects go. Only events of the classes that have a store are written. */
export interface LakePlace {
  readonly stores: ReadonlyMap<LakeClass, ObjectStore>;
  /** Of the partition. */
  readonly region: string;
  /** Of the partition. */
  readonly accountId: string;
}

export interface LakeObject {
  readonly classUid: LakeClass;
  readonly key: string;
  readonly events: number;
  readonly bytes: number;
}

export interface DayWriterOptions {
  readonly place: LakePlace;
  /** For files that are being made. */
  readonly directory: string;
  /** What names of objects begin with. */
  readonly named: string;
  readonly limits?: ObjectLimits | undefined;
  readonly onObject: (object: LakeObject) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Takes events in order of time. */
export interface DayWriter {
  /** `day` is such as `20240131`, and never before that of the event before it. */
  add(classUid: LakeClass, day: string, line: string): Promise<void>;
  /** All that was taken is in objects. */
  finish(): Promise<void>;
}

/** A day of ordinary events is one object; a larger one is cut always at the same events. */
const lakeLimits: ObjectLimits = { maxRows: 1_000_000, maxTextBytes: 256 * 1_048_576 };
const PART_DIGITS = 4;

interface Part {
  readonly file: string;
  readonly descriptor: number;
  readonly number: number;
  rows: number;
  bytes: number;
  longestLineBytes: number;
  groupBytes: number;
  largestGroupBytes: number;
}

/** Writes the events of each day and class as Parquet. The same events give objects of the same names and bytes, which take the place of earlier ones. */
export const createDayWriter = (options: DayWriterOptions): DayWriter => {
  const { place, directory, limits = lakeLimits, signal } = options;
  const parts = new Map<LakeClass, Part>();
  let currentDay = '';
  const store = async (classUid: LakeClass, part: Part) => {
    signal?.throwIfAborted();
    await storePart(options, { classUid, day: currentDay, part });
  };
  const finish = async () => {
    for (const [classUid, part] of parts) await store(classUid, part);
    parts.clear();
  };
  const open = (classUid: LakeClass, number: number): Part => {
    const file = join(directory, `${classUid}-${number}.ndjson`);
    const counts = { rows: 0, bytes: 0, longestLineBytes: 0, groupBytes: 0, largestGroupBytes: 0 };
    const part = { file, descriptor: openSync(file, 'w', 0o600), number, ...counts };
    parts.set(classUid, part);
    return part;
  };
  return {
    add: async (classUid, day, line) => {
      if (!place.stores.has(classUid)) return;
      if (day !== currentDay) await finish();
      currentDay = day;
      let part = parts.get(classUid) ?? open(classUid, 0);
      if (part.rows >= limits.maxRows || part.bytes >= limits.maxTextBytes) {
        await store(classUid, part);
        part = open(classUid, part.number + 1);
      }
      append(part, Buffer.from(`${line}\n`));
    },
    finish,
  };
};

const append = (part: Part, line: Buffer): void => {
  for (let at = 0; at < line.length; ) at += writeSync(part.descriptor, line, at);
  if (part.rows % ROWS_OF_GROUP === 0) part.groupBytes = 0;
  part.rows += 1;
  part.bytes += line.length;
  part.groupBytes += line.length;
  part.longestLineBytes = Math.max(part.longestLineBytes, line.length);
  part.largestGroupBytes = Math.max(part.largestGroupBytes, part.groupBytes);
};

const storePart = async (
  { place, directory, named, onObject, signal }: DayWriterOptions,
  { classUid, day, part }: { readonly classUid: LakeClass; readonly day: string; readonly part: Part },
): Promise<void> => {
  closeSync(part.descriptor);
  const target = join(directory, 'object.parquet');
  await copyLines(part, target, {
    directory,
    columns: ocsfColumns(classUid),
    select: writtenColumns(classUid),
    metadata: { class_uid: String(classUid), events: String(part.rows) },
    format: lakeFormat,
  });
  await rm(part.file);
  const bytes = await readFile(target);
  const number = String(part.number).padStart(PART_DIGITS, '0');
  const key = `region=${place.region}/accountId=${place.accountId}/eventDay=${day}/${named}-${number}.parquet`;
  await place.stores.get(classUid)?.put(key, bytes, signal);
  await rm(target);
  onObject({ classUid, key, events: part.rows, bytes: bytes.length });
};
