import { type BundleReader, isHidden, LEAVES_PER_PAYLOAD, payloadPath } from '../bundle/layout.ts';
import { type PayloadRecord, readPayload } from '../bundle/payload.ts';
import { type EventLeaf, rawFacts, readEventLeaf } from '../leaves/leaf.ts';
import { NO_SOURCE } from '../leaves/source-chain.ts';
import { leafHash } from '../tree/merkle.ts';
import type { LeafState, LeafStates } from './leaf-states.ts';
import type { Report } from './report.ts';
import type { SourceNumbers } from './source-numbers.ts';
import type { VerifiedLog } from './verified-log.ts';

/**
 * Reads every payload and hashes it again: the leaf must be the one in the tree at its position, and the payload the one that the leaf
 * speaks of. Marks those leaves as present.
 */
export const verifyPayload = (
  report: Report,
  reader: BundleReader,
  events: VerifiedLog,
  states: LeafStates,
  sources: SourceNumbers,
): void => {
  const known = new Set<string>();
  for (let start = 0; start < events.size; start += LEAVES_PER_PAYLOAD) {
    const path = payloadPath(start);
    known.add(path);
    const bytes = reader.read(path);
    if (bytes === undefined) continue;
    report.attempt('payload', path, () => {
      let next = start;
      for (const record of readPayload(bytes)) {
        const leaf = readEventLeaf(record.leaf);
        const index = leaf.position - 1;
        const isInOrder = index >= next && index < Math.min(events.size, start + LEAVES_PER_PAYLOAD);
        if (!isInOrder) {
          report.fault('payload', `${path}: position ${leaf.position} does not belong there`, leaf.position);
          continue;
        }
        next = index + 1;
        const { state, isInTree } = judge(report, record, leaf, events);
        states.set(index, state, isInTree ? sources.numberOf(report, leaf) : NO_SOURCE);
      }
    });
  }
  for (const path of reader.paths) {
    if (path.startsWith('events/payload/') && !known.has(path) && !isHidden(path))
      report.fault('payload', `${path} is of no leaf`);
  }
};

/** The state of the leaf of a payload, and its source, which only a leaf of the tree can tell. */
const judge = (
  report: Report,
  { leaf, raw }: PayloadRecord,
  said: EventLeaf,
  events: VerifiedLog,
): { readonly state: LeafState; readonly isInTree: boolean } => {
  const { position } = said;
  const isInTree = leafHash(leaf).equals(events.leafHash(position - 1));
  const isRaw = isRawOf(said, raw);
  if (!isInTree) report.fault('leaf', `event ${position} is not the one in the tree`, position);
  if (!isRaw)
    report.fault('payload', `the payload of event ${position} is not the one that its leaf speaks of`, position);
  return { state: isInTree && isRaw ? 'present' : 'faulty', isInTree };
};

/** Whether a leaf speaks of this payload. */
export const isRawOf = (said: EventLeaf, raw: Uint8Array): boolean => {
  const { rawBytes, rawSha256 } = rawFacts(raw);
  return rawBytes === said.rawBytes && Buffer.compare(rawSha256, said.rawSha256) === 0;
};
