import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { OrgtrailError } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type BundleReader, bundleFiles } from '../bundle/layout.ts';
import { openFolder } from '../files/folder-reader.ts';
import { FolderWriter, formatFile, verifierFile } from '../files/folder-writer.ts';
import type { Report } from '../verify/report.ts';
import { verifyBundle } from '../verify/verify-bundle.ts';
import { type ExportOptions, writeContent } from './content.sql.ts';
import { type WrittenBundle, writeReadme } from './readme.ts';
import { type ExportedLog, withSnapshot } from './snapshot.sql.ts';
import type { BundleWriter } from './writer.ts';

export interface ExportedBundle extends WrittenBundle {
  readonly files: number;
  readonly bytes: number;
}

/** A folder that gets its name once it is verified. Throws as `bundleWriterOf`. */
export const exportBundle = async (pool: Pool, folder: string, options: ExportOptions): Promise<ExportedBundle> => {
  const writer = new FolderWriter(folder);
  const { signal, observer } = options;
  try {
    const written = await bundleWriterOf(pool)(writer, options, () =>
      openFolder(writer.folder, { signal, onRead: (bytes) => observer?.onVerified?.(bytes) }),
    );
    signal?.throwIfAborted();
    writer.finish();
    return { ...written, bytes: writer.bytes, files: writer.hashes.size };
  } finally {
    writer.discard();
  }
};

const WAIT_MS = 30_000;
const LOOK_EVERY_MS = 500;
const SHOWN_FAULTS = 20;

/** `read` gives what has been written. */
export type WriteBundle = (
  writer: BundleWriter,
  options: ExportOptions,
  read: () => BundleReader,
) => Promise<WrittenBundle>;

/** Throws OrgtrailError `usage` for nothing to export, `evidence_fails` if it does not hold. */
export const bundleWriterOf =
  (pool: Pool): WriteBundle =>
  async (writer, options, read) => {
    const untilMs = performance.now() + (options.waitMs ?? WAIT_MS);
    for (;;) {
      const written = await withSnapshot(pool, options.signal, async (client, log) => {
        if (isToWait(log) && performance.now() < untilMs) return undefined;
        requireStated(log, options);
        return { log, ...(await writeContent(client, log, writer, options)) };
      });
      if (written !== undefined) return await finished(written, writer, options, read);
      await setTimeout(LOOK_EVERY_MS, undefined, { signal: options.signal });
    }
  };

const finished = async (
  written: Omit<WrittenBundle, 'report'>,
  writer: BundleWriter,
  options: ExportOptions,
  read: () => BundleReader,
): Promise<WrittenBundle> => {
  const report = await verifyBundle(read(), { kept: options.kept ?? [], isUnfinished: true });
  if (!report.holds && options.despiteFaults !== true) throw doesNotHold(report, written.log);
  writer.write(bundleFiles.format, readFileSync(formatFile));
  writer.write(bundleFiles.verifier, readFileSync(verifierFile));
  const bundle = { ...written, report };
  const { version, finish: more } = options;
  const about = more?.(written.events) ?? [];
  writer.write(bundleFiles.readme, Buffer.from(writeReadme(bundle, { version, about, hashes: writer.hashes })));
  return bundle;
};

/** A working builder states a drop within moments. */
const isToWait = ({ unstatedDrops, state }: ExportedLog): boolean =>
  unstatedDrops > 0 && (state === 'ok' || state === 'building');

const requireStated = ({ unstatedDrops, state }: ExportedLog, { despiteFaults }: ExportOptions): void => {
  if (unstatedDrops === 0 || despiteFaults === true) return;
  const months = unstatedDrops === 1 ? 'a month was dropped' : `${unstatedDrops} months were dropped`;
  const remedy =
    state === 'ended'
      ? 'the log has ended, and no statement follows; `orgtrail evidence next` begins the next one, which states it'
      : 'let the daemon build, then repeat';
  throw new OrgtrailError('evidence_fails', `${months}, and no signed statement says so`, {
    hint: `${remedy}; --despite-faults still writes the bundle`,
  });
};

const doesNotHold = ({ faults }: Report, { state }: ExportedLog): OrgtrailError => {
  const lines = faults.slice(0, SHOWN_FAULTS).map(({ message }) => `  ${message}`);
  const more = faults.length > SHOWN_FAULTS ? [`  and ${faults.length - SHOWN_FAULTS} more`] : [];
  const message = `what is stored is not what was signed (the log is ${state}):\n${[...lines, ...more].join('\n')}`;
  const hint = 'there is no bundle; --despite-faults still writes it, and says so in its README.txt';
  return new OrgtrailError('evidence_fails', message, { hint });
};
