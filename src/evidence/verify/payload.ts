import { type BundleReader, isHidden, LEAVES_PER_PAYLOAD, payloadPath, withheldPath } from '../bundle/layout.ts';
import { type PayloadRecord, PayloadSplitter } from '../bundle/records.ts';
import { EvidenceFault } from '../bytes.ts';
import { type EventLeaf, NO_SOURCE, rawFacts, readEventLeaf } from '../leaf.ts';
import type { LeafRange } from '../tree/proofs.ts';
import { leafHash } from '../tree/tiles.ts';
import type { LeafState } from './leaf-states.ts';
import type { Content } from './partial.ts';
import type { Report } from './report.ts';
import type { VerifiedLog } from './verified-log.ts';

/** Too large for memory: the verifier asks for the pieces in order. */
export interface PayloadPieces {
  readonly path: string;
  take(piece: Uint8Array): void;
  /** The rest cannot be read. */
  fail(why: string): void;
}

/** What follows unreadable bytes has no known beginning. */
export const piecesOf = (
  report: Report,
  code: 'payload' | 'reads',
  path: string,
  file: { push(piece: Uint8Array): void; end(): void },
): PayloadPieces & { end(): void } => {
  let isBroken = false;
  const attempt = (read: () => void) => {
    if (!isBroken) isBroken = report.attempt(code, path, () => [read()]) === undefined;
  };
  return {
    path,
    take: (piece) => attempt(() => file.push(piece)),
    fail: (why) =>
      attempt(() => {
        throw new EvidenceFault(why);
      }),
    end: () => attempt(() => file.end()),
  };
};

/** Hashes every payload again. Leaves become `present`; in a bundle of a time, those without payload `withheld`. */
export function* verifyPayload(
  report: Report,
  reader: BundleReader,
  events: VerifiedLog,
  leaves: Content,
): Generator<PayloadPieces> {
  const known = new Set<string>();
  const there = new Set(reader.paths);
  const kinds = report.time === undefined ? [payloadPath] : [payloadPath, withheldPath];
  for (let start = 0; start < events.size; start += LEAVES_PER_PAYLOAD) {
    const end = Math.min(events.size, start + LEAVES_PER_PAYLOAD);
    for (const pathOf of kinds) {
      const path = pathOf(start);
      known.add(path);
      if (!there.has(path)) continue;
      const hasRaw = pathOf === payloadPath;
      const file = payloadFile(report, { path, hasRaw }, { start, end }, (record, leaf) =>
        judgeRecord(report, record, { leaf, hasRaw }, events, leaves),
      );
      yield file;
      file.end();
    }
  }
  for (const path of reader.paths) {
    if (/^events\/(?:payload|withheld)\//.test(path) && !known.has(path) && !isHidden(path))
      report.fault('payload', `${path} is of no leaf`);
  }
}

const judgeRecord = (
  report: Report,
  record: PayloadRecord,
  { leaf, hasRaw }: { readonly leaf: EventLeaf; readonly hasRaw: boolean },
  events: VerifiedLog,
  { states, sources, ofTime }: Content,
): void => {
  const { position } = leaf;
  if (events.listed !== undefined && events.listed.placeOf(position - 1) === undefined) {
    report.fault('leaf', `event ${position} has payload, and is not listed`, position);
    return;
  }
  if (states.stateOf(position - 1) !== 'absent') {
    report.fault('payload', `event ${position} is there with and without its content`, position);
    return;
  }
  const { state, isInTree } = judge(report, record, leaf, { events, hasRaw });
  states.set(position - 1, state, isInTree ? sources.numberOf(report, leaf) : NO_SOURCE);
  if (isInTree) ofTime.judge(leaf, hasRaw);
};

const payloadFile = (
  report: Report,
  { path, hasRaw }: { readonly path: string; readonly hasRaw: boolean },
  { start, end }: LeafRange,
  judgeRecord: (record: PayloadRecord, leaf: EventLeaf) => void,
) => {
  const splitter = new PayloadSplitter(hasRaw);
  let next = start;
  const read = (record: PayloadRecord): void => {
    const leaf = readEventLeaf(record.leaf);
    const index = leaf.position - 1;
    if (index < next || index >= end) {
      report.fault('payload', `${path}: position ${leaf.position} does not belong there`, leaf.position);
      return;
    }
    next = index + 1;
    judgeRecord(record, leaf);
  };
  return piecesOf(report, 'payload', path, {
    push: (piece) => {
      for (const record of splitter.push(piece)) read(record);
    },
    end: () => splitter.end(),
  });
};

/** Only a leaf of the tree can tell its source. */
const judge = (
  report: Report,
  { leaf, raw }: PayloadRecord,
  said: EventLeaf,
  { events, hasRaw }: { readonly events: VerifiedLog; readonly hasRaw: boolean },
): { readonly state: LeafState; readonly isInTree: boolean } => {
  const { position } = said;
  const isInTree = leafHash(leaf).equals(events.leafHash(position - 1));
  const isRaw = !hasRaw || isRawOf(said, raw);
  if (!isInTree) report.fault('leaf', `event ${position} is not the one in the tree`, position);
  if (!isRaw)
    report.fault('payload', `the payload of event ${position} is not the one that its leaf speaks of`, position);
  if (!isInTree || !isRaw) return { state: 'faulty', isInTree };
  return { state: hasRaw ? 'present' : 'withheld', isInTree };
};

export const isRawOf = (said: EventLeaf, raw: Uint8Array): boolean => {
  const { rawBytes, rawSha256 } = rawFacts(raw);
  return rawBytes === said.rawBytes && Buffer.compare(rawSha256, said.rawSha256) === 0;
};
