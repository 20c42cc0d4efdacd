import { ANCHORS_FOLDER, type BundleReader, checkpointPath, isHidden } from '../bundle/layout.ts';
import { unlessFault } from '../bytes.ts';
import {
  isSameLog,
  type OpenCheckpoint,
  openCheckpoint,
  originOf,
  type Policy,
  policyOfGeneration,
  withKeys,
} from '../notes/policy.ts';
import {
  isBySome,
  parseNote,
  printVerifierKey,
  readableKeys,
  type VerifierKey,
  verifyNote,
} from '../notes/signed-note.ts';
import type { SignedStatements, VerifiedLogs } from './logs.ts';
import type { Report } from './report.ts';
import type { VerifiedLog } from './verified-log.ts';

/** Kept elsewhere: the operator cannot rewrite what is older. */
export interface Anchor {
  readonly name: string;
  readonly note: Uint8Array;
  /** As the auditor says, also if the bundle has the same one. */
  readonly isKeptElsewhere?: boolean;
}

/** Where they were kept meanwhile, the bundle does not prove. */
const anchorsOf = (reader: BundleReader): Anchor[] =>
  reader.paths
    .filter((path) => path.startsWith(ANCHORS_FOLDER) && !isHidden(path))
    .map((path) => ({ name: path, note: reader.read(path) ?? Buffer.alloc(0) }));

/** A copy from the bundle agrees with the bundle whatever that is: it does not count, unless the auditor says where it is from. */
export const countingAnchors = (
  report: Report,
  reader: BundleReader,
  anchors: readonly Anchor[],
): readonly Anchor[] => {
  const checkpoints = [checkpointPath('events'), checkpointPath('journal')];
  const own = [...checkpoints.map((path) => ({ name: path, note: reader.read(path) })), ...anchorsOf(reader)].map(
    ({ name, note }) => ({ name, text: signedTextOf(note) }),
  );
  return anchors.filter(({ name, note, isKeptElsewhere }) => {
    const text = signedTextOf(note);
    const same = isKeptElsewhere === true ? undefined : own.find((one) => text !== undefined && one.text === text);
    if (same !== undefined)
      report.note(
        `that ${name} was kept elsewhere: it is the same checkpoint as ${same.name} of the bundle, so a copy of that proves nothing. If you kept or fetched it elsewhere yourself, say so: --kept-elsewhere`,
      );
    return same === undefined;
  });
};

const signedTextOf = (note: Uint8Array | undefined): string | undefined =>
  note && unlessFault(() => parseNote(note).text);

interface Anchored extends VerifiedLogs {
  /** Also the keys that the journal names: a kept checkpoint may be by one that was replaced. */
  readonly policy: Policy;
  readonly statements: SignedStatements;
}

/**
 * Each log must go on from each of its checkpoints. The log's own signature is required, not those of witnesses. An earlier
 * generation is held against what the fork says; a later one, or another log, is a fault. Gives how many tell something:
 * a bundle of one source may lack the tiles for others.
 */
export const verifyAnchors = (report: Report, anchors: readonly Anchor[], anchored: Anchored): number => {
  let told = 0;
  for (const { name, note } of anchors) {
    const anchor = report.attempt('anchor', name, () => openAnchor(note, anchored.policy));
    if (anchor === undefined || compare(report, name, anchor, anchored)) told += 1;
  }
  return told;
};

/** What no kept checkpoint covers, the holder of the key may have rewritten. True: they cover all. */
export const sayNotAnchored = (report: Report, anchors: readonly Anchor[], anchored: Anchored): boolean => {
  const kept = anchors.flatMap(({ note }) => unlessFault(() => openAnchor(note, anchored.policy)) ?? []);
  const newestOf = (log: VerifiedLog): number => {
    const ofLog = kept.filter((anchor) => anchor.origin === log.origin && hasTilesFor(log, anchor.size));
    return Math.max(0, ...ofLog.filter((anchor) => isBeginning(log, anchor)).map(({ size }) => size));
  };
  const { events, journal } = anchored;
  const [position, statement] = [newestOf(events), newestOf(journal)];
  if (position < events.size)
    report.note(
      `that the holder of the key did not rewrite positions ${position + 1} and later: no checkpoint with these was kept`,
    );
  if (statement < journal.size)
    report.note(
      `that the holder of the key did not rewrite statements ${statement + 1} and later: no checkpoint of the journal with these was kept, so what they say of reading, gaps, drops, holds and keys is his word`,
    );
  return position >= events.size && statement >= journal.size;
};

/** By a policy of the auditor's own, other keys are no fault: he has not kept it. */
export const verifyOwnAnchors = (
  report: Report,
  reader: BundleReader,
  anchored: Anchored,
  isPolicyOfBundle: boolean,
): void => {
  for (const anchor of anchorsOf(reader)) {
    if (isPolicyOfBundle || !isOfOtherKeys(anchor.note, anchored.policy)) verifyAnchors(report, [anchor], anchored);
    else report.note(`that ${anchor.name} is a checkpoint: the policy has no key that signed it`);
  }
};

const openAnchor = (note: Uint8Array, policy: Policy): OpenCheckpoint => {
  const [origin = ''] = parseNote(note).text.split('\n');
  return openCheckpoint(note, policyOfGeneration(policy, origin));
};

/** False for what is no note. */
const isOfOtherKeys = (note: Uint8Array, policy: Policy): boolean =>
  unlessFault(() => {
    const read = parseNote(note);
    return !isBySome(read, policyOfGeneration(policy, read.text.slice(0, read.text.indexOf('\n'))).logs);
  }) ?? false;

/** False: nothing can be told. */
const compare = (report: Report, name: string, anchor: OpenCheckpoint, anchored: Anchored): boolean => {
  const { origin, size } = anchor;
  const log = [anchored.events, anchored.journal].find((one) => isSameLog(one.origin, origin) || one.origin === origin);
  if (log?.log === 'journal' && generationOf(origin) < generationOf(log.origin))
    return compareEarlierJournal(report, name, anchor, anchored);
  if (log?.listed !== undefined && !hasTilesFor(log, size)) {
    report.note(
      `that the first ${size} leaves of ${origin} are those of ${name}: this bundle of one source has not the tiles of that size`,
    );
    return false;
  }
  const fault = (message: string) => report.fault('anchor', message);
  if (log === undefined) fault(`${name} is a checkpoint of another log, ${origin}`);
  else if (isBeginning(log, anchor)) {
    report.claim(['anchor'], `the first ${size} leaves of ${origin} are those of ${name}`);
    if (isByStolenKey(anchor, anchored.statements))
      report.note(
        `when ${name} was made: a key that was stolen signed it, so it counts if it was kept before the theft`,
      );
  } else if (origin !== log.origin) compareGenerations(report, name, anchor, anchored, log);
  else if (size > log.size)
    fault(`${name} has ${size} leaves of ${origin}, and here are ${log.size}: some are missing at the end`);
  else fault(`${name} has another tree of ${size} leaves of ${origin}: it was rewritten`);
  return true;
};

const hasTilesFor = (log: VerifiedLog, size: number): boolean =>
  size > log.size || unlessFault(() => log.rootAt(size)) !== undefined;

/** Journals of two generations have no statement in common. */
const isBeginning = (log: VerifiedLog, { origin, size, root }: OpenCheckpoint): boolean =>
  (origin === log.origin || log.log === 'events') && size <= log.size && log.rootAt(size).equals(root);

const compareGenerations = (
  report: Report,
  name: string,
  { origin, size }: OpenCheckpoint,
  { statements }: Anchored,
  log: VerifiedLog,
): void => {
  const [theirs, ours] = [generationOf(origin), generationOf(log.origin)];
  const common = statements.of('fork')[0]?.common_size ?? 0;
  if (theirs > ours) report.fault('anchor', `${name} is of generation ${theirs}, and this is generation ${ours}`);
  else if (theirs === ours - 1 && size <= common)
    report.fault('anchor', `${name} has another tree of ${size} leaves than the fork says is common: it was rewritten`);
  else
    report.fault(
      'anchor',
      `${name} has ${size} leaves of generation ${theirs}, and generation ${ours} does not go on from them: behind the fork they are lost or rewritten`,
    );
};

/** The fork names one earlier journal. That one says nothing of what is signed now; any other contradicts. */
const compareEarlierJournal = (
  report: Report,
  name: string,
  { origin, size, root }: OpenCheckpoint,
  { statements }: Anchored,
): boolean => {
  const old = statements.of('fork')[0]?.old_journal;
  const [theirs, named] = [generationOf(origin), generationOf(old?.origin ?? '')];
  if (old === undefined || theirs < named || (theirs === named && size < old.size)) {
    const reason = old
      ? `the fork names only the root of ${old.size} of generation ${named}`
      : 'the fork names no journal';
    report.noteNotCompared(
      `that the ${size} statements of ${name}, of generation ${theirs}, belong to this history: ${reason}`,
    );
    return false;
  }
  if (theirs === named && size === old.size && Buffer.from(root).toString('base64') === old.root) {
    report.claim(
      ['anchor', 'journal'],
      `${name} is the journal of generation ${theirs} as the fork names it, of ${size} statements`,
    );
    return false;
  }
  report.fault(
    'anchor',
    `${name} has ${size} statements of generation ${theirs}, but the fork names others, ${old.size} of generation ${named}: statements that were kept (holds, gaps) are not in this history`,
  );
  return true;
};

const generationOf = (origin: string): number => originOf(origin)?.generation ?? 0;

/** By the newest key that was announced, which who has stolen the old one cannot take back. A replaced key must be one of this log. */
export const verifyKeys = (report: Report, reader: BundleReader, announced: Anchored): void => {
  const { events, journal, statements, policy } = announced;
  const vkeys = statedVkeys(statements);
  const isAnnounced = policy.logs.some((key) => key.name === events.origin && vkeys.includes(printVerifierKey(key)));
  if (vkeys.length > 0 && !isAnnounced)
    report.note(`that the key of ${events.origin} was announced: no genesis and no statement names it`);
  verifySuccession(report, statements);
  const newest = statements.of('key').findLast((one) => one.first_size <= events.size)?.new_vkeys ?? [];
  for (const { log, origin } of [events, journal]) {
    const keys = readableKeys(newest).filter(({ name }) => name === origin);
    const path = checkpointPath(log);
    const note = reader.read(path);
    if (keys.length === 0 || note === undefined) continue;
    report.attempt('checkpoint', `${path}, by the key that was announced`, () => verifyNote(parseNote(note), keys));
  }
};

/** A key that was never announced cannot be replaced: the statement is of another log, or made up. */
const verifySuccession = (report: Report, statements: SignedStatements): void => {
  const known = new Set(beginningVkeys(statements));
  for (const { reason, old_vkeys, new_vkeys, first_size } of statements.of('key')) {
    const unknown = known.size === 0 ? undefined : old_vkeys.find((vkey) => !known.has(vkey));
    if (unknown !== undefined)
      report.fault('statement', `a statement replaces a key that this log never had: ${unknown}`);
    for (const vkey of [...old_vkeys, ...new_vkeys]) known.add(vkey);
    if (reason !== 'compromised') continue;
    report.note(
      `that what the key before signed is the log's: it was compromised before there were ${first_size} leaves. A checkpoint of it counts only as far as an anchor, a cosignature or a time stamp is older than the theft`,
    );
  }
};

/** Also replaced ones and those of earlier generations: a checkpoint of them may have been kept. */
export const withStatedKeys = (policy: Policy, statements: SignedStatements): Policy => {
  const earlier = statements.of('fork').flatMap((one) => one.old_vkeys ?? []);
  const stated = readableKeys([...new Set([...statedVkeys(statements), ...earlier])]);
  return { ...policy, logs: withKeys(policy.logs, stated) };
};

/** Then a checkpoint is worth no more than the time at which it was kept. */
const isByStolenKey = ({ signers }: Pick<OpenCheckpoint, 'signers'>, statements: SignedStatements): boolean => {
  const changes = statements.of('key');
  const stolen = [
    ...changes.filter(({ reason }) => reason === 'compromised').flatMap(({ old_vkeys }) => old_vkeys),
    ...statements.of('fork').flatMap((one) => one.stolen_vkeys ?? []),
  ];
  const isStolen = ({ publicKey }: VerifierKey) =>
    readableKeys(stolen).some((key) => Buffer.compare(key.publicKey, publicKey) === 0);
  return signers.filter(({ atSeconds }) => atSeconds === undefined).every(({ key }) => isStolen(key));
};

const beginningVkeys = (statements: SignedStatements): string[] => [
  ...statements.of('genesis').flatMap((one) => one.vkeys),
  ...statements.of('fork').flatMap((one) => one.vkeys ?? []),
];

const statedVkeys = (statements: SignedStatements): string[] => [
  ...beginningVkeys(statements),
  ...statements.of('key').flatMap((one) => [...one.old_vkeys, ...one.new_vkeys]),
];
