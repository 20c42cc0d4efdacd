import { OrgtrailError, SearchError } from '../../errors.ts';
import { type EventWords, foundFiles, writeEventLine, writeProofLine } from '../../evidence/bundle/found-events.ts';
import type { ProvenUnder } from '../../evidence/export/prove-leaves.sql.ts';
import { type FoundEvent, rfc3339Of } from '../found-event.ts';
import { fixTimes, printSearch, type SearchReading } from '../search.ts';
import { incompleteBecause } from '../search-answer.ts';
import type { BundleFiles } from './bundle-files.ts';
import { completenessJson, MAX_NAMED } from './completeness.ts';
import { bundleReadme } from './readme.ts';
import type { SearchBundle, SearchBundleParts } from './search-bundle.ts';

/**
 * Writes all events of a search, each with its proof under the last signed checkpoint, and what may be missing. The caller verifies it.
 * Throws SearchError `refused` if too many match, OrgtrailError `evidence_fails` if an event is not the one that was signed, `usage` if the
 * account may not read the log.
 */
export const writeSearchBundle = async (files: BundleFiles, parts: SearchBundleParts): Promise<SearchBundle> => {
  const { source, reading, nowMs } = parts;
  const search = fixTimes(reading.search, nowMs);
  if (search.archive === true) throw new SearchError('refused', NO_ARCHIVED);
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search, MAX_NAMED);
  const holes = await source.holes(search, MAX_NAMED);
  const found = await writeEvents(files, parts, search);
  const { positions } = found;
  const empty = positions.length === 0 ? await source.explain(search, reading.given, true) : undefined;
  const page = { events: [], more: false, reached: undefined };
  const incomplete = incompleteBecause(search, page, coverage, empty);
  const completeness = { coverage, holes, empty, incomplete };
  writeJson(files, foundFiles.completeness, completenessJson(completeness));
  const { under, unsigned } = await writeProofs(files, parts, positions);
  writeJson(files, foundFiles.query, {
    form: 'orgtrail search bundle 1',
    query: Object.fromEntries(printSearch(search)),
    given: reading.given,
    asked_at: new Date(nowMs).toISOString(),
    asked_by: parts.askedBy,
    orgtrail: parts.version,
    feed_id: found.feedId,
    until_position: found.untilPosition,
    events: positions.length,
    not_signed: unsigned,
    log: under === undefined ? null : { origin: under.origin, size: under.size, state: under.state },
  });
  const bundle = { events: positions.length, unsigned, completeness, under };
  files.write(foundFiles.readme, Buffer.from(bundleReadme(bundle, parts, files.hashes)));
  return bundle;
};

const writeJson = (files: BundleFiles, path: string, value: unknown): void =>
  files.write(path, Buffer.from(`${JSON.stringify(value, null, 2)}\n`));

const writeEvents = async (
  files: BundleFiles,
  { source, maxEvents, signal }: SearchBundleParts,
  search: SearchReading['search'],
) => {
  const positions: number[] = [];
  let head = { feedId: '', untilPosition: 0 };
  const file = files.open(foundFiles.events);
  for await (const { events, feedId, untilPosition } of source.found(search, signal)) {
    signal?.throwIfAborted();
    head = { feedId, untilPosition };
    if (positions.length + events.length > maxEvents) throw new SearchError('refused', tooMany(maxEvents));
    const lines = events.map(({ event, rawText }) => `${writeEventLine(wordsOf(event), rawText)}\n`);
    file.write(Buffer.from(lines.join('')));
    positions.push(...events.map(({ event }) => event.position));
  }
  file.end();
  return { positions, ...head };
};

const NO_ARCHIVED = 'a bundle has no events that are in the archive alone: leave out archive';

const tooMany = (events: number): string =>
  `more than ${events.toLocaleString('en')} events match, which is too many for a bundle: search less time, or write it to a folder with orgtrail search … --bundle DIR`;

/** As the leaf says them: a bundle has no word beside an event that is not signed. */
const wordsOf = (event: FoundEvent): EventWords => ({
  position: event.position,
  received_at: event.receivedAt,
  action_time: rfc3339Of(event.sortTime),
  source_kind: event.sourceKind,
  source_id: event.sourceId,
  organization_id: event.organizationId,
  id: event.id,
  // A leaf has them joined.
  defects: (event.defects ?? []).flatMap((defect) => defect.split(',')),
});

const writeProofs = async (
  files: BundleFiles,
  { evidence, signal }: SearchBundleParts,
  positions: readonly number[],
): Promise<{ readonly under: ProvenUnder | undefined; readonly unsigned: number }> => {
  const nothing = { under: undefined, unsigned: positions.length };
  const status = await evidence?.status();
  if (evidence === undefined || status === undefined || status.signedSize === null) return nothing;
  const file = files.open(foundFiles.proofs);
  let unsigned = 0;
  const under = await evidence.proveAll(
    positions,
    (proofs) => {
      unsigned += proofs.filter(({ signed }) => signed === undefined).length;
      file.write(Buffer.from(proofs.map((proof) => `${writeProofLine(proof)}\n`).join('')));
    },
    signal,
  );
  if (under === undefined) {
    throw new OrgtrailError('usage', 'the account of the database may not read the log of evidence', {
      hint: 'grant orgtrail_evidence to it',
    });
  }
  if (typeof under === 'string') throw new OrgtrailError('usage', 'no checkpoint is signed yet: try again');
  file.end();
  files.write(foundFiles.checkpoint, Buffer.from(under.note));
  files.write(foundFiles.policy, Buffer.from(under.policy));
  return { under, unsigned };
};
