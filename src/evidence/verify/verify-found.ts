import {
  type EventWords,
  foundFiles,
  jsonObject,
  type LeafProof,
  type PayloadRecord,
  rawOfLine,
  readProofLine,
  wordsOfLeaf,
} from '../bundle/records.ts';
import { EvidenceFault } from '../bytes.ts';
import { readEventLeaf } from '../leaf.ts';
import { parseTlogProof } from '../notes/checkpoint.ts';
import { type OpenCheckpoint, openCheckpoint, type Policy, parsePolicy } from '../notes/policy.ts';
import { rootByInclusion } from '../tree/proofs.ts';
import { leafHash } from '../tree/tiles.ts';
import { isRawOf } from './payload.ts';
import { Report } from './report.ts';
import { type ListedReader, verifyListed } from './verify-bundle.ts';

export interface FoundReader extends ListedReader {
  /** Without line feeds. Only of a file that is there. */
  lines(path: string): AsyncIterable<Buffer>;
}

/** Each event is in the log as its line says. No verifier can say that no other event matches. Undefined `policy`: the bundle's. */
export const verifyFound = async (reader: FoundReader, policy?: Buffer): Promise<Report> => {
  const report = new Report();
  verifyListed(report, reader);
  const checkpoint = openOf(report, reader, policy);
  const counts = await verifyEvents(report, reader, checkpoint);
  const query = objectOf(report, reader, foundFiles.query);
  if (query !== undefined && query['events'] !== counts.events)
    report.fault('missing', `${foundFiles.query} speaks of ${query['events']} events, and ${counts.events} are here`);
  if (checkpoint !== undefined) {
    const { origin, size } = checkpoint;
    const signed = counts.events - counts.unsigned;
    report.claim(
      ['leaf', 'payload', 'missing'],
      `${signed} events are in ${origin}, as it was among ${size}, each with the content that is here`,
    );
    if (counts.unsigned > 0)
      report.note(`that all ${counts.events} events are in the log: ${counts.unsigned} of them not signed yet`);
    if (policy === undefined) report.note('whose keys these are: those in the bundle are believed');
    report.note(
      'unanchored: that the log was not rewritten with the key. Compare its checkpoint with one of the same size that was kept',
    );
  } else if (!reader.paths.includes(foundFiles.checkpoint)) {
    report.note('that anything here is what was stored: nothing is signed');
  }
  noteCompleteness(report, reader);
  return report;
};

/** Undefined: nothing is signed, or not by a key that counts. */
const openOf = (report: Report, reader: FoundReader, policy: Buffer | undefined): OpenCheckpoint | undefined => {
  const note = reader.read(foundFiles.checkpoint);
  if (note === undefined) {
    if (reader.read(foundFiles.policy) !== undefined || reader.paths.includes(foundFiles.proofs))
      report.fault('checkpoint', `${foundFiles.checkpoint} is missing`);
    return undefined;
  }
  const keys = report.attempt('policy', foundFiles.policy, () =>
    parsePolicy(policy ?? reader.read(foundFiles.policy) ?? Buffer.alloc(0)),
  );
  return keys && report.attempt('checkpoint', foundFiles.checkpoint, () => openCheckpoint(note, keys));
};

const verifyEvents = async (report: Report, reader: FoundReader, checkpoint: OpenCheckpoint | undefined) => {
  const counts = { events: 0, unsigned: 0 };
  if (!reader.paths.includes(foundFiles.events)) {
    report.fault('missing', `${foundFiles.events} is missing`);
    return counts;
  }
  const hasProofs = reader.paths.includes(foundFiles.proofs);
  if (checkpoint !== undefined && !hasProofs) report.fault('missing', `${foundFiles.proofs} is missing`);
  const proofs = hasProofs ? reader.lines(foundFiles.proofs)[Symbol.asyncIterator]() : undefined;
  const seen = new Set<number>();
  for await (const line of reader.lines(foundFiles.events)) {
    counts.events += 1;
    const proofLine = await proofs?.next();
    if (checkpoint === undefined) continue;
    report.attempt('leaf', `${foundFiles.events}, line ${counts.events}`, () => {
      if (proofLine === undefined || proofLine.done === true) throw new EvidenceFault('it has no proof');
      const proof = readProofLine(proofLine.value.toString());
      if (seen.has(proof.position)) throw new EvidenceFault(`event ${proof.position} is here twice`);
      seen.add(proof.position);
      if (proof.signed === undefined) {
        verifyUnsigned(line, proof.position, checkpoint);
        counts.unsigned += 1;
      } else verifyEvent(report, line.toString(), proof.position, proof.signed, checkpoint);
    });
  }
  if (proofs !== undefined && (await proofs.next()).done !== true)
    report.fault('missing', `${foundFiles.proofs} has more lines than there are events`);
  return counts;
};

/** Only what came after the checkpoint has no proof: else a changed event would only have to be called unsigned. */
const verifyUnsigned = (line: Buffer, position: number, { size }: OpenCheckpoint): void => {
  if (position <= size) throw new EvidenceFault(`event ${position} has no proof, and is within the signed log`);
  if (!line.toString().startsWith(`{"position":${position},`))
    throw new EvidenceFault('its proof is of another position');
};

const verifyEvent = (
  report: Report,
  line: string,
  position: number,
  { leaf, hashes }: NonNullable<LeafProof['signed']>,
  { origin, size, root }: OpenCheckpoint,
): void => {
  const isInTree =
    position <= size && rootByInclusion(position - 1, size, leafHash(leaf), hashes)?.equals(root) === true;
  if (!isInTree) report.fault('leaf', `event ${position} is not in ${origin} by this proof`, position);
  const said = readEventLeaf(leaf);
  const words: EventWords = wordsOfLeaf(said);
  const raw = Buffer.from(rawOfLine(line, words));
  if (!isRawOf(said, raw)) report.fault('payload', `the content is not that of event ${position}`, position);
};

const objectOf = (report: Report, reader: FoundReader, path: string): Readonly<Record<string, unknown>> | undefined => {
  const text = reader.read(path)?.toString();
  const fault = text === undefined ? 'is missing' : 'is no object of JSON';
  return report.attempt('missing', path, () => jsonObject(text ?? '', fault));
};

/** Unsigned. */
const noteCompleteness = (report: Report, reader: FoundReader): void => {
  const said = objectOf(report, reader, foundFiles.completeness);
  if (said === undefined) return;
  const { complete, incomplete_because: because, gaps, holes } = said;
  const { not_collected_seconds: seconds, read_until: until } = said;
  const reasons = Array.isArray(because) ? because.map(String).join(', ') : '';
  const unread = `${Math.ceil(Number(seconds))} seconds not collected, gaps: ${lengthOf(gaps)}, holes: ${lengthOf(holes)}`;
  report.note(
    `that these are all events that match, which no proof of single events can show. ${foundFiles.completeness} says ${
      complete === true ? `complete up to ${String(until)}` : `not complete (${reasons})`
    }: ${unread}`,
  );
  report.note(
    'that nothing is left out of a log: a bundle of that log alone proves it (orgtrail evidence export --organization or --account)',
  );
  report.note(`who asked, when and for what (${foundFiles.query}), and that the events match it: read them`);
};

const lengthOf = (value: unknown): number => (Array.isArray(value) ? value.length : 0);

/** In the log which the policy believes, at its position, with this payload. */
export const verifyProof = (proofFile: Uint8Array, { leaf, raw }: PayloadRecord, policy: Policy): Report => {
  const report = new Report();
  report.attempt('checkpoint', 'the proof', () => {
    const proof = parseTlogProof(proofFile);
    const { origin, size, root, unknown } = openCheckpoint(Buffer.from(proof.checkpoint), policy);
    const said = readEventLeaf(leaf);
    const { position } = said;
    const isInTree = rootByInclusion(proof.index, size, leafHash(leaf), proof.hashes)?.equals(root) === true;
    if (!isInTree) report.fault('root', `event ${position} is not in ${origin} by this proof`, position);
    if (proof.index !== position - 1)
      report.fault('leaf', `event ${position} is said to be leaf ${proof.index}`, position);
    if (!isRawOf(said, raw)) report.fault('payload', `the payload is not that of event ${position}`, position);
    for (const { name } of unknown) report.note(`that ${name} signed the checkpoint: it is not in the policy`);
    report.claim(['leaf', 'payload'], `event ${position} is in ${origin}, as it was among ${size}, with this payload`);
  });
  return report;
};
