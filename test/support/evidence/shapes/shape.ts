import { payloadPath } from '../../../../src/evidence/bundle/layout.ts';
import { type PayloadRecord, writePayloadRecord } from '../../../../src/evidence/bundle/records.ts';
import type { Anchor } from '../../../../src/evidence/verify/anchors.ts';
import { begun, readerOf, recordsOf, type TestHistory, testEvent, verifyBundle } from '../test-history.ts';

export type Files = Map<string, Buffer>;

/** A bundle, what an auditor brings along, and what both verifiers must say of it. */
export interface Shape {
  readonly name: string;
  readonly files: Files;
  readonly anchors?: readonly Anchor[];
  readonly policy?: Buffer;
  /** Undefined: it holds. Else what both reports must name: a position, or a word of a sentence; `{}`: nothing that both name. */
  readonly fault?: { readonly position?: number; readonly word?: string };
}

/** What one verifier says of a bundle. */
export interface Verdict {
  readonly holds: boolean;
  /** Positions that its faults name. */
  readonly positions: readonly number[];
  /** The sentences of its faults. */
  readonly faults: readonly string[];
  readonly claims: readonly string[];
  readonly notClaimed: readonly string[];
  /** What is said of each source, for programs. */
  readonly coverage: unknown;
}

/** Of the verifier that orgtrail is. */
export const judgeHere = ({ files, anchors = [], policy }: Omit<Shape, 'name'>): Verdict => {
  const report = verifyBundle(readerOf(files), { anchors, ...(policy && { policy }) });
  return {
    holds: report.holds,
    positions: report.faults.flatMap(({ positions }) => positions),
    faults: report.faults.map(({ message }) => message),
    claims: report.claims,
    notClaimed: report.notClaimed,
    coverage: report.coverage,
  };
};

/** Why a verdict is not that of the shape. Undefined: it is. */
export const wrongIn = ({ holds, positions, faults }: Verdict, { fault }: Shape): unknown => {
  if (fault === undefined) return holds ? undefined : faults;
  const { position, word } = fault;
  const isNamed =
    (position === undefined || positions.includes(position)) &&
    (word === undefined || faults.some((text) => text.includes(word)));
  return holds || !isNamed ? { holds, positions, faults } : undefined;
};

/** Bundles that hold, by name. */
export const holding = (shapes: Readonly<Record<string, TestHistory | Files>>): Shape[] =>
  Object.entries(shapes).map(([name, one]) => ({ name, files: filesOf(one) }));

/** Bundles that do not hold, with a position or a word that both reports have. */
export const failing = (
  shapes: Readonly<Record<string, readonly [one: TestHistory | Files, named?: number | string]>>,
): Shape[] =>
  Object.entries(shapes).map(([name, [one, named]]) => ({
    name,
    files: filesOf(one),
    fault: typeof named === 'number' ? { position: named } : named === undefined ? {} : { word: named },
  }));

const filesOf = (one: TestHistory | Files): Files => (one instanceof Map ? one : one.bundle());

/** More events of January. */
export const grown = (history: TestHistory, count: number, source = 'o1'): TestHistory => {
  for (let number = 0; number < count; number += 1) history.append(testEvent(1_000 + number, source, '2026-01'));
  return history;
};

/** Some events of January, all covered. */
export const small = (count = 20): TestHistory => grown(begun(), count).stateCoverage('o1');

/** As an operator with the key would make it: hashed and signed again, with other content of one event. */
export const rewritten = (count: number, position: number, history = begun()): TestHistory => {
  for (let number = 0; number < count; number += 1)
    history.append(testEvent(number + 1 === position ? 7 : 1_000 + number, 'o1', '2026-01'));
  return history.stateCoverage('o1');
};

export const kept = (history: TestHistory, log: 'events' | 'journal' = 'events'): Anchor[] => [
  { name: 'kept', note: history.checkpoint(log) },
];

/** With the payload changed record by record. */
export const withPayload = (history: TestHistory, change: (records: PayloadRecord[]) => PayloadRecord[]): Files => {
  const files = history.bundle();
  const records = recordsOf(files);
  return files.set(payloadPath(0), Buffer.concat(change(records).map(writePayloadRecord)));
};

/** With one file changed, added, or, if undefined is given, taken away. */
export const withFile = (
  one: TestHistory | Files,
  path: string,
  change: (bytes: Buffer) => Buffer | undefined,
): Files => {
  const files = new Map(filesOf(one));
  const changed = change(files.get(path) ?? Buffer.alloc(0));
  if (changed === undefined) files.delete(path);
  else files.set(path, changed);
  return files;
};

/** With one more statement, which is the text of another one that was changed. */
export const withText = (history: TestHistory, index: number, change: (text: string) => string): TestHistory => {
  history.statements.push(change(history.statements[index] ?? ''));
  return history;
};
