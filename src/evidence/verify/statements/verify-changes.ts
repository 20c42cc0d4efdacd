import { type BundleReader, changesPaths } from '../../bundle/layout.ts';
import { textOf } from '../../bytes.ts';
import { sha256 } from '../../crypto/sha256.ts';
import { EvidenceFault } from '../../evidence-fault.ts';
import { microsecondsOf } from '../../journal/instants.ts';
import { isInPositions, unitedPositions } from '../../journal/position-ranges.ts';
import type { StatementOf } from '../../journal/statement.ts';
import { readStrictJson } from '../../journal/strict-json.ts';
import type { LeafStates } from '../leaf-states.ts';
import type { Report } from '../report.ts';
import type { SignedStatements } from '../verify-journal.ts';

/**
 * That the later contents of events are those which were stated, each of them and no others. The content of an event that was dropped
 * went with it.
 */
export const verifyChanges = (
  report: Report,
  reader: BundleReader,
  { statements, states }: { readonly statements: SignedStatements; readonly states: LeafStates },
): void => {
  const stated = new Map(statements.of('change').map((one) => [keyOf(one.position, one.raw_sha256), one]));
  const { size } = stated;
  for (const path of changesPaths) {
    const bytes = reader.read(path);
    if (bytes === undefined) continue;
    const lines = report.attempt('change', path, () => linesOf(bytes)) ?? [];
    for (const [index, line] of lines.entries()) {
      report.attempt('change', `line ${index + 1} of ${path}`, () => {
        const content = readContent(line);
        const key = keyOf(content.position, sha256(content.raw).toString('hex'));
        if (!isStated(content, stated.get(key)))
          throw new EvidenceFault('it is not what a statement says, or is there twice');
        stated.delete(key);
      });
    }
  }
  const dropped = unitedPositions(statements.of('drop').flatMap(({ positions }) => positions));
  let gone = 0;
  let withheld = 0;
  for (const { position } of stated.values()) {
    // In a bundle of a time, the later content goes with the content.
    if (report.time !== undefined && ['withheld', 'unshown'].includes(states.stateOf(position - 1))) withheld += 1;
    else if (isInPositions(dropped, position)) gone += 1;
    else report.fault('change', `the later content of event ${position} is stated, and not in the bundle`, position);
  }
  if (withheld > 0) report.note(`what ${withheld} later contents are: their events are not of the time of the bundle`);
  const here = size - gone - withheld;
  if (here > 0) report.claim(['journal', 'change'], `${here} later contents of events are those that were stated`);
  if (gone > 0) report.note(`what ${gone} later contents were: their events were dropped`);
};

interface LaterContent {
  readonly position: number;
  readonly raw: Buffer;
  /** These two may be left out. */
  readonly event_id?: unknown;
  readonly seen_at?: unknown;
}

const keyOf = (position: number, rawSha256: string): string => `${position} ${rawSha256}`;

const isStated = (content: LaterContent, change: StatementOf<'change'> | undefined): boolean => {
  if (change?.length !== content.raw.length) return false;
  const { event_id: id = change.event_id, seen_at: seenAt = change.seen_at } = content;
  const us = typeof seenAt === 'string' ? microsecondsOf(seenAt) : undefined;
  return id === change.event_id && us === microsecondsOf(change.seen_at);
};

const linesOf = (bytes: Buffer): string[] => {
  const lines = textOf(bytes, 'it').split('\n');
  if (lines.pop() !== '') throw new EvidenceFault('it ends within a line');
  return lines;
};

const fields = new Set(['position', 'event_id', 'seen_at', 'raw']);

const readContent = (line: string): LaterContent => {
  const value = (readStrictJson(line, 'it') ?? {}) as Readonly<Record<string, unknown>>;
  const { position, raw } = value;
  const isKnown = Object.keys(value).every((name) => fields.has(name));
  if (typeof position !== 'number' || typeof raw !== 'string' || !isKnown)
    throw new EvidenceFault('it is not position, event_id, seen_at and raw');
  return { ...value, position, raw: Buffer.from(raw) };
};
