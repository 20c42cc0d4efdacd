import {
  ANCHORS_FOLDER,
  anchorPath,
  type BundleReader,
  bundleFiles,
  kindOf,
  LEAVES_FOLDER,
  readLeavesPath,
  readList,
  readSelection,
  requiredFiles,
  type Selection,
} from '../bundle/layout.ts';
import { MAX_DATA_BYTES } from '../bundle/records.ts';
import { EvidenceFault, textOf } from '../bytes.ts';
import { type Checkpoint, keyOfLog, type Policy, parseCheckpoint, parsePolicy } from '../notes/checkpoint.ts';
import { hexOfId, parseNote, verifyNote } from '../notes/signed-note.ts';
import { StatedCoverage } from './coverage.ts';
import { KeptCheckpoints, type KeptNote } from './kept.ts';
import { Leaves } from './leaves.ts';
import { Report } from './report.ts';
import { type Draw, type Fetched, Sample } from './sample.ts';
import { Statements } from './statements.ts';

export interface VerifierOptions {
  /** Checkpoints that were kept elsewhere. */
  readonly kept?: readonly KeptNote[];
  /** In place of policy.txt. */
  readonly policy?: Policy | undefined;
  /** Without README.txt, FORMAT.txt and verify.py: before they are written. */
  readonly isUnfinished?: boolean;
  readonly compare?: { readonly files: readonly Fetched[]; readonly draw: Draw | undefined } | undefined;
}

/** Chapters 1 to 8 and 10. Memory: some hundred bytes for each statement, and the largest event. */
export const verifyBundle = async (reader: BundleReader, options: VerifierOptions = {}): Promise<Report> => {
  const report = new Report();
  await verifyFiles(report, reader, options.isUnfinished === true);
  const opened = await openBundle(report, reader, options.policy);
  if (opened === undefined) return report;
  const { selection, policy, note, checkpoint, statements, coverage } = opened;
  await readRequests(report, reader, opened);
  const kept = new KeptCheckpoints(report, [...(options.kept ?? []), ...(await anchorsOf(reader))]);
  const sample = options.compare && new Sample(report, options.compare.files);
  sample?.open(statements, coverage, parseNote(note).text, options.compare?.draw);
  statements.holds.order();
  const carried = statements.begins.flatMap(({ before, carried: size }) => (before?.size === size ? [size] : []));
  const { size } = checkpoint;
  const take = sample && ((...event: Parameters<Sample['take']>) => sample.take(...event));
  const leaves = new Leaves(report, statements, selection, size, [...kept.sizes, ...carried], take);
  await readLeaves(report, reader, leaves);
  const tree = leaves.end();
  report.size = size;
  if (tree.size !== size) report.fault('leaves', `the checkpoint has ${size} leaves, and ${tree.size} are here`);
  else if (!tree.root().equals(checkpoint.root))
    report.fault('leaves', 'these leaves do not have the root that was signed');
  judgeSignature(report, opened, options.policy !== undefined);
  for (const { index, before, carried: prefix } of statements.begins) {
    const root = before?.size === prefix ? tree.roots.get(prefix) : undefined;
    if (root !== undefined && before !== undefined && !root.equals(before.root))
      report.fault('leaves', `statement ${index} carries ${prefix} leaves of another tree`);
  }
  kept.judge(statements, policy, { size, roots: tree.roots });
  statements.holds.end();
  sample?.end(statements);
  describe(report, opened, leaves);
  return report;
};

export interface OpenBundle {
  readonly selection: Selection;
  readonly policy: Policy;
  readonly note: Buffer;
  readonly checkpoint: Checkpoint;
  readonly statements: Statements;
  readonly coverage: StatedCoverage;
}

/** All but the leaves. Undefined: there is nothing to judge leaves by. */
export const openBundle = async (
  report: Report,
  reader: BundleReader,
  given?: Policy,
): Promise<OpenBundle | undefined> => {
  const selection = await attempt(report, reader, bundleFiles.selection, readSelection);
  const policy = given ?? (await attempt(report, reader, bundleFiles.policy, parsePolicy));
  const note = await attempt(report, reader, bundleFiles.checkpoint, (bytes) => bytes);
  const checkpoint = note && report.attempt('leaves', 'checkpoint', () => parseCheckpoint(parseNote(note).text));
  if (selection === undefined || policy === undefined || note === undefined || checkpoint === undefined)
    return undefined;
  const coverage = new StatedCoverage(report, kindOf(selection));
  const statements = new Statements(report, selection, coverage);
  await readLines(report, reader, bundleFiles.statements, (line) => {
    const text = report.attempt('leaves', bundleFiles.statements, () => textOf(line, 'a line'));
    if (text !== undefined) statements.take(text);
  });
  const { source, query } = selection;
  if (source !== null && query === null && !statements.sources.has(source))
    report.fault('complete', `no statement names source ${source}, and the bundle is of that`);
  if (statements.begins.length === 0) report.fault('leaves', 'no statement begins the log');
  return { selection, policy, note, checkpoint, statements, coverage };
};

const ofBundle: readonly string[] = Object.values(bundleFiles);

/** Claim 1. */
const verifyFiles = async (report: Report, reader: BundleReader, isUnfinished: boolean): Promise<void> => {
  const paths = new Set(reader.paths);
  for (const path of reader.others) report.fault('files', `${path} is a link, or no plain file`);
  for (const path of paths) {
    if (path.startsWith(LEAVES_FOLDER) && readLeavesPath(path) === undefined)
      report.fault('files', `${path} is no file of leaves`);
    if (path.startsWith(ANCHORS_FOLDER) && !anchorPath.test(path))
      report.fault('files', `${path} has no name of an anchor`);
    if (path.endsWith('.gz') && paths.has(path.slice(0, -3)) && path.startsWith(LEAVES_FOLDER))
      report.fault('files', `${path} is there unpacked, too`);
  }
  if (isUnfinished) return;
  for (const path of requiredFiles) if (!paths.has(path)) report.fault('files', `${path} is missing`);
  const list = await attempt(report, reader, bundleFiles.readme, readList, 'files');
  if (list === undefined) return;
  for (const [path, hash] of list) {
    if (!paths.has(path)) report.fault('files', `${path} is in the list of README.txt, and missing`);
    else if ((await reader.sha256(path)) !== hash)
      report.fault('files', `${path} is not the file that README.txt lists`);
  }
  for (const path of paths) {
    if (path === bundleFiles.readme || list.has(path)) continue;
    if (path.startsWith(LEAVES_FOLDER) || path.startsWith(ANCHORS_FOLDER) || ofBundle.includes(path))
      report.fault('files', `${path} is not in the list of README.txt`);
    else report.say(`${path} is not of the bundle`);
  }
  report.claim('files', `${list.size} files are as README.txt lists them`);
};

const attempt = async <T>(
  report: Report,
  reader: BundleReader,
  path: string,
  read: (bytes: Buffer) => T,
  chapter: 'files' | 'leaves' = 'leaves',
) => {
  if (!reader.paths.includes(path)) return undefined;
  const bytes = await bytesOf(reader, path);
  return report.attempt(chapter, path, () => read(bytes));
};

const bytesOf = async (reader: BundleReader, path: string): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  for await (const piece of reader.pieces(path)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
};

const anchorsOf = async (reader: BundleReader): Promise<KeptNote[]> => {
  const notes: KeptNote[] = [];
  for (const name of reader.paths.filter((path) => anchorPath.test(path)))
    notes.push({ name, note: await bytesOf(reader, name), isOfBundle: true });
  return notes;
};

/** Lines without their end, each valid until the next one. What is no line is a fault. */
const readLines = async (
  report: Report,
  reader: BundleReader,
  path: string,
  take: (line: Buffer) => void,
): Promise<void> => {
  if (!reader.paths.includes(path)) return;
  let rest = Buffer.alloc(0);
  try {
    for await (const piece of reader.pieces(path)) {
      if (piece.includes(CARRIAGE_RETURN)) throw new EvidenceFault('has a carriage return');
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
      let start = 0;
      for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
        if (end === start) throw new EvidenceFault('has an empty line');
        if (end - start > MAX_DATA_BYTES) throw new EvidenceFault('has a line that is too long');
        take(bytes.subarray(start, end));
        start = end + 1;
      }
      rest = Buffer.from(bytes.subarray(start));
      if (rest.length > MAX_DATA_BYTES) throw new EvidenceFault('has a line that is too long');
    }
    if (rest.length > 0) throw new EvidenceFault('ends within a line');
  } catch (error) {
    if (!(error instanceof EvidenceFault)) throw error;
    report.fault(path === bundleFiles.reads ? 'reads' : 'leaves', `${path} ${error.message}`);
  }
};

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

const readRequests = async (
  report: Report,
  reader: BundleReader,
  { selection, statements, coverage }: OpenBundle,
): Promise<void> => {
  const isThere = reader.paths.includes(bundleFiles.reads);
  if (isThere && kindOf(selection) === 'search') report.fault('reads', 'a search has no reads.ndjson');
  let lines = 0;
  await readLines(report, reader, bundleFiles.reads, (line) => {
    lines += 1;
    coverage.takeLine(line);
  });
  if (isThere && lines === 0) report.fault('reads', 'reads.ndjson has no line');
  coverage.end((number) => nameOf(statements, number));
};

const readLeaves = async (report: Report, reader: BundleReader, leaves: Leaves): Promise<void> => {
  const files = reader.paths
    .flatMap((path) => readLeavesPath(path) ?? [])
    .sort((one, other) => one.number - other.number);
  for (const file of files) {
    try {
      await leaves.file(file, reader.pieces(file.path, file.isPacked));
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error;
      report.fault('leaves', `${file.path} ${error.message}`);
      return;
    }
  }
};

/** The key that the journal says is in force must have signed, and be in the policy. */
const judgeSignature = (
  report: Report,
  { note, checkpoint, statements, policy }: OpenBundle,
  isOwnPolicy: boolean,
): void => {
  const { origin, size } = checkpoint;
  const begin = statements.begins.findLast(({ index }) => index < size);
  if (begin !== undefined && origin !== `${begin.base}/${begin.feed_id}.${begin.number}`)
    report.fault('leaves', `the checkpoint is of ${origin}, and not of the log that was begun`);
  const key = statements.keyAt(size);
  if (key === undefined) {
    report.fault('leaves', 'no statement names the key of the log');
    return;
  }
  const inForce = report.attempt('leaves', 'checkpoint', () => keyOfLog(origin, Buffer.from(key, 'hex')));
  if (inForce === undefined) return;
  if (!policy.logs.some(({ name, id }) => name === inForce.name && id === inForce.id))
    report.fault('leaves', `the key in force (${hexOfId(inForce.id)}) is not in the policy`);
  const verified = report.attempt('leaves', 'checkpoint', () =>
    verifyNote(parseNote(note), [...policy.logs, ...policy.witnesses]),
  );
  if (verified === undefined) return;
  for (const { name } of verified.unknown) report.say(`a signature by an unknown key: ${name}`);
  if (!verified.signers.some(({ key: { name, id } }) => name === inForce.name && id === inForce.id))
    report.fault('leaves', `the checkpoint is not signed by the key in force (${hexOfId(inForce.id)})`);
  for (const { key: witness, atSeconds } of verified.signers) {
    if (atSeconds === undefined) continue;
    report.claim(
      'kept',
      `${witness.name} saw the tree of ${size} leaves at ${new Date(1_000 * atSeconds).toISOString()}`,
    );
    if (isOwnPolicy) report.keptSize = size;
  }
};

const nameOf = ({ sources }: Statements, number: number): string => {
  const source = sources.get(number);
  return source === undefined ? `source ${number}` : `${source.kind} ${source.id}`;
};

const describe = (
  report: Report,
  { selection, checkpoint, statements, coverage }: OpenBundle,
  { counts }: Leaves,
): void => {
  const { source, since, before, query } = selection;
  const kind = kindOf(selection);
  const time = since === null && before === null ? '' : `, ${since ?? 'the beginning'} to ${before ?? 'the end'}`;
  const what =
    query === null
      ? `${source === null ? 'everything' : nameOf(statements, source)}${time}`
      : `the search ${JSON.stringify(query)}`;
  report.subject = `${what} of ${checkpoint.origin}: ${checkpoint.size} leaves, ${counts.content} events with their content`;
  const dropped = counts.dropped > 0 ? `, ${counts.dropped} dropped` : '';
  const withheld = counts.withheld > 0 ? `, ${counts.withheld} without their content` : '';
  const found = `${counts.content} events${withheld}${dropped}, ${statements.leaves.length} statements`;
  const adopted = statements.begins[0]?.adopted_position ?? 0;
  if (adopted > 0)
    report.claim(
      'leaves',
      `events up to position ${adopted} are older than the log: their integrity holds from ${statements.begins[0]?.at} on`,
    );
  report.claim('leaves', found);
  if (kind === 'search')
    report.claim('complete', 'not claimed of a search: these events are in the log, and there may be others');
  else if (source === null)
    report.claim('complete', `each of the ${checkpoint.size} leaves is an event, a statement, or a stated drop`);
  else {
    const last = coverage.last.get(source);
    report.claim(
      'complete',
      last === undefined
        ? 'no statement counts the leaves of this source: that none is left out is not claimed'
        : `none of this source and of the log below leaf ${last.index}, by their chains; later ones are in the log, and there may be others`,
    );
  }
  if (report.keptSize === 0)
    report.claim('kept', 'no checkpoint was given that was kept: the operator could rewrite all of it');
  else if (report.keptSize < checkpoint.size)
    report.claim('kept', `the ${checkpoint.size - report.keptSize} leaves behind it are younger`);
};
