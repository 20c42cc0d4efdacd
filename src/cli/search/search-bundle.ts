import { OrgtrailError } from '../../errors.ts';
import { foundInFolder } from '../../evidence/files/file-lines.ts';
import { openFolder } from '../../evidence/files/folder-reader.ts';
import { FolderWriter } from '../../evidence/files/folder-writer.ts';
import { createShownEvidence } from '../../evidence/shown/shown-evidence.sql.ts';
import { verifyFound } from '../../evidence/verify/found/verify-found.ts';
import { version } from '../../package/package-files.ts';
import type { Pool } from '../../postgres/pool.ts';
import { completenessJson, reasonsOf } from '../../search/bundle/completeness.ts';
import type { SearchBundle } from '../../search/bundle/search-bundle.ts';
import { writeSearchBundle } from '../../search/bundle/write-search-bundle.ts';
import type { SearchSource } from '../../search/ports.ts';
import type { SearchReading } from '../../search/search.ts';
import { counted } from '../output/counted.ts';
import { isZip, requireNoFile, zipFolder } from './zip-folder.ts';

/** Eight bytes of memory for each. */
const MAX_EVENTS = 1_000_000;
const MAX_EVENT_BYTES = 2 ** 40;

/** Writes a search as a bundle to a folder or a zip, which gets its name once it is verified. Throws as `writeSearchBundle` does. */
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
    const bundle = await writeSearchBundle(writer, {
      ...asked,
      evidence: createShownEvidence(pool, true),
      askedBy: { by: 'command', name: rows[0]?.name ?? null },
      version,
      maxEvents: MAX_EVENTS,
      maxEventBytes: MAX_EVENT_BYTES,
    });
    const { faults } = await verifyFound(foundInFolder(await openFolder(writer.folder, asked)));
    if (faults[0] !== undefined) throw new OrgtrailError('evidence_fails', faults[0].message);
    if (isZip(target)) await zipFolder(writer.folder, target, asked.nowMs, asked.signal);
    else writer.finish();
    return bundle;
  } finally {
    writer.discard();
  }
};

/** What was written, for people. */
export const bundleText = (target: string, { events, unsigned, under, completeness }: SearchBundle): string => {
  const { leftOut } = completeness;
  const reasons = reasonsOf(completeness);
  const lines = [
    `${target}: ${counted(events, 'event')}`,
    ...(leftOut === undefined
      ? []
      : [`it is full: older events that match are left out, from ${leftOut.action_time ?? 'those without a time'} on`]),
    under === undefined
      ? 'nothing is signed: there is no log of evidence'
      : `${events - unsigned} of them proven under the checkpoint of ${under.size} positions of ${under.origin}${unsigned === 0 ? '' : `, ${unsigned} not signed yet`}`,
    ...(under === undefined || under.state === 'ok' || under.state === 'building' ? [] : [`the log is ${under.state}`]),
    reasons.length === 0 ? 'complete, as far as orgtrail knows' : `may be incomplete: ${reasons.join(', ')}`,
    isZip(target)
      ? 'to verify it: unpack it, then python3 verify.py or orgtrail evidence verify . in the folder'
      : `to verify it: orgtrail evidence verify ${target}, or python3 ${target}/verify.py`,
  ];
  return `${lines.join('\n')}\n`;
};

/** The same for programs. */
export const bundleJson = (target: string, { events, unsigned, under, completeness }: SearchBundle) => ({
  [isZip(target) ? 'file' : 'folder']: target,
  events,
  not_signed: unsigned,
  log: under === undefined ? null : { origin: under.origin, size: under.size, state: under.state },
  completeness: completenessJson(completeness),
});
