import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { OrgtrailError } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { counted } from '../../base/text.ts';
import { bundleWriterOf } from '../../evidence/export/export-bundle.ts';
import { openFolder } from '../../evidence/files/folder-reader.ts';
import { FolderWriter } from '../../evidence/files/folder-writer.ts';
import type { Pool } from '../../postgres/pool.ts';
import { completenessJson, reasonsOf, type SearchBundle } from '../../search/bundle/readme.ts';
import { MAX_ZIP_BYTES, writeSearchBundle, writeZip } from '../../search/bundle/write-search-bundle.ts';
import type { SearchReading } from '../../search/query/search.ts';
import type { SearchSource } from '../../search/search-source.ts';

/** Eight bytes of memory each. */
const MAX_EVENTS = 1_000_000;
const MAX_EVENT_BYTES = 2 ** 40;

/** To a folder or a zip, named once verified. Throws as `writeSearchBundle` does. */
export const bundleSearch = async (
  pool: Pool,
  target: string,
  asked: {
    readonly source: SearchSource;
    readonly reading: SearchReading;
    readonly nowMs: number;
    readonly signal: AbortSignal;
  },
): Promise<SearchBundle> => {
  const { rows } = await pool.query<{ name: string }>('select session_user::text as name');
  if (isZip(target)) requireNoFile(target);
  const writer = new FolderWriter(isZip(target) ? `${target}.d` : target);
  try {
    const askedBy = { by: 'command', name: rows[0]?.name ?? null } as const;
    const limits = { maxEvents: MAX_EVENTS, maxEventBytes: MAX_EVENT_BYTES };
    const bundle = await writeSearchBundle(
      writer,
      { ...asked, writeBundle: bundleWriterOf(pool), askedBy, version, ...limits },
      () => openFolder(writer.folder, asked),
    );
    if (isZip(target)) await zipFolder(writer.folder, target, asked.nowMs, asked.signal);
    else writer.finish();
    return bundle;
  } finally {
    writer.discard();
  }
};

export const bundleText = (target: string, { events, unsigned, written, completeness }: SearchBundle): string => {
  const { leftOut } = completeness;
  const { log } = written;
  const reasons = reasonsOf(completeness);
  const lines = [
    `${target}: ${counted(events, 'event')}`,
    ...(leftOut === undefined
      ? []
      : [`it is full: older events that match are left out, from ${leftOut.action_time ?? 'those without a time'} on`]),
    `proven under the checkpoint of ${log.size} leaves of ${log.origin}${unsigned === 0 ? '' : `; ${unsigned} more are not signed yet, and not in it`}`,
    ...(log.state === 'ok' || log.state === 'building' ? [] : [`the log is ${log.state}`]),
    reasons.length === 0 ? 'complete, as far as orgtrail knows' : `may be incomplete: ${reasons.join(', ')}`,
    isZip(target)
      ? 'to verify it: unpack it, then python3 verify.py or orgtrail evidence verify . in the folder'
      : `to verify it: orgtrail evidence verify ${target}, or python3 ${target}/verify.py`,
  ];
  return `${lines.join('\n')}\n`;
};

export const bundleJson = (target: string, { events, unsigned, written: { log }, completeness }: SearchBundle) => ({
  [isZip(target) ? 'file' : 'folder']: target,
  events,
  not_signed: unsigned,
  log: { origin: log.origin, size: log.size, state: log.state },
  completeness: completenessJson(completeness),
});

const isZip = (path: string): boolean => path.toLowerCase().endsWith('.zip');

/** Throws OrgtrailError `usage` if it exists. */
const requireNoFile = (file: string): void => {
  if (existsSync(file))
    throw new OrgtrailError('usage', `${file} exists already`, { hint: 'name a file that does not exist yet' });
};

/** A zip of a folder, below a folder of its name; named at the end. Throws OrgtrailError `usage` if too large. */
const zipFolder = async (folder: string, file: string, atMs: number, signal: AbortSignal): Promise<void> => {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)).replaceAll(sep, '/'))
    .sort();
  const bytes = names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  // Incompressible content grows by a few bytes, and headers come on top.
  if (bytes > MAX_ZIP_BYTES * 0.99) {
    throw new OrgtrailError('usage', `${Math.ceil(bytes / 2 ** 30)} GiB are too large for a zip`, {
      hint: 'name a folder, or search less time',
    });
  }
  const target = resolve(file);
  const root = basename(target).slice(0, -'.zip'.length);
  const unfinished = join(dirname(target), `.${basename(target)}.unfinished-${randomBytes(4).toString('hex')}`);
  const entries = names.map((name) => ({
    name: `${asciiOf(root)}/${name}`,
    pieces: { [Symbol.asyncIterator]: () => createReadStream(join(folder, name))[Symbol.asyncIterator]() },
  }));
  try {
    await pipeline(writeZip(entries, atMs), createWriteStream(unfinished, { flags: 'wx', mode: 0o600 }), { signal });
    requireNoFile(target);
    renameSync(unfinished, target);
  } finally {
    rmSync(unfinished, { force: true });
  }
};

/** The form has no encoding for other names. */
const asciiOf = (name: string): string => name.replaceAll(/[^\w.-]/g, '_') || 'bundle';
