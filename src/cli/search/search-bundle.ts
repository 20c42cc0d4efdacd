import { OrgtrailError } from '../../errors.ts';
import { foundInFolder } from '../../evidence/files/file-lines.ts';
import { openFolder } from '../../evidence/files/folder-reader.ts';
import { FolderWriter } from '../../evidence/files/folder-writer.ts';
import { createShownEvidence } from '../../evidence/shown/shown-evidence.sql.ts';
import { verifyFound } from '../../evidence/verify/found/verify-found.ts';
import { version } from '../../package/package-files.ts';
import type { Pool } from '../../postgres/pool.ts';
import { completenessJson } from '../../search/bundle/completeness.ts';
import type { SearchBundle } from '../../search/bundle/search-bundle.ts';
import { writeSearchBundle } from '../../search/bundle/write-search-bundle.ts';
import type { SearchSource } from '../../search/ports.ts';
import type { SearchReading } from '../../search/search.ts';
import { counted } from '../output/counted.ts';

/** Eight bytes of memory for each. */
const MAX_EVENTS = 1_000_000;

/** Writes a search to a folder as a bundle, which gets its name once it is verified. Throws as `writeSearchBundle` does. */
export const bundleSearch = async (
  pool: Pool,
  folder: string,
  asked: {
    readonly source: SearchSource;
    readonly reading: SearchReading;
    readonly nowMs: number;
    readonly signal: AbortSignal;
  },
): Promise<SearchBundle> => {
  const { rows } = await pool.query<{ name: string }>('select session_user::text as name');
  const writer = new FolderWriter(folder);
  try {
    const bundle = await writeSearchBundle(writer, {
      ...asked,
      evidence: createShownEvidence(pool, true),
      askedBy: { by: 'command', name: rows[0]?.name ?? null },
      version,
      maxEvents: MAX_EVENTS,
    });
    const { faults } = await verifyFound(foundInFolder(await openFolder(writer.folder, asked)));
    if (faults[0] !== undefined) throw new OrgtrailError('evidence_fails', faults[0].message);
    writer.finish();
    return bundle;
  } finally {
    writer.discard();
  }
};

/** What was written, for people. */
export const bundleText = (folder: string, { events, unsigned, under, completeness }: SearchBundle): string => {
  const { incomplete } = completeness;
  const lines = [
    `${folder}: ${counted(events, 'event')}`,
    under === undefined
      ? 'nothing is signed: there is no log of evidence'
      : `${events - unsigned} of them proven under the checkpoint of ${under.size} positions of ${under.origin}${unsigned === 0 ? '' : `, ${unsigned} not signed yet`}`,
    ...(under === undefined || under.state === 'ok' || under.state === 'building' ? [] : [`the log is ${under.state}`]),
    incomplete.length === 0 ? 'complete, as far as orgtrail knows' : `may be incomplete: ${incomplete.join(', ')}`,
    `to verify it: orgtrail evidence verify ${folder}`,
  ];
  return `${lines.join('\n')}\n`;
};

/** The same for programs. */
export const bundleJson = (folder: string, { events, unsigned, under, completeness }: SearchBundle) => ({
  folder,
  events,
  not_signed: unsigned,
  log: under === undefined ? null : { origin: under.origin, size: under.size, state: under.state },
  completeness: completenessJson(completeness),
});
