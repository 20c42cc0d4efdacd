import {
  BUNDLE_TIME_PATH,
  type BundleTime,
  bundleFiles,
  isOfTime,
  payloadPath,
  withheldPath,
  writeBundleTime,
} from '../../../../src/evidence/bundle/layout.ts';
import {
  type PayloadRecord,
  writePayloadRecord,
  writeWithheldRecord,
} from '../../../../src/evidence/bundle/records.ts';
import { readEventLeaf } from '../../../../src/evidence/leaf.ts';
import type { Files } from '../shapes/shape.ts';
import { recordsOf } from '../test-history.ts';

/** What is cut out of a bundle, and what is done to it on the way. */
export interface TimeCut {
  readonly time?: Partial<BundleTime>;
  /** Without the leaves of other events. */
  readonly isHashesOnly?: boolean;
  /** Positions that go without content, whatever their time, and positions that have it. */
  readonly hide?: readonly number[];
  readonly show?: readonly number[];
}

export const january: BundleTime = { since: '2026-01-01T00:00:00Z', before: '2026-02-01T00:00:00Z' };

/** A bundle of a time, cut out of one of all times as an auditor could who has that: without the key. */
export const cutToTime = (whole: Files, { time = {}, isHashesOnly, hide = [], show = [] }: TimeCut = {}): Files => {
  const cut = { ...january, ...time };
  const isOf = isOfTime(cut);
  const records = recordsOf(whole);
  const isShown = ({ leaf }: PayloadRecord): boolean => {
    const { position, actionTimeUs } = readEventLeaf(leaf);
    return show.includes(position) || (isOf(actionTimeUs) && !hide.includes(position));
  };
  const files = new Map(whole).set(BUNDLE_TIME_PATH, Buffer.from(writeBundleTime(cut)));
  const [shown, withheld] = [records.filter(isShown), records.filter((one) => !isShown(one))];
  files.delete(payloadPath(0));
  if (shown.length > 0) files.set(payloadPath(0), Buffer.concat(shown.map(writePayloadRecord)));
  if (isHashesOnly !== true && withheld.length > 0)
    files.set(withheldPath(0), Buffer.concat(withheld.map(({ leaf }) => writeWithheldRecord(leaf))));
  const hidden = new Set(withheld.map(({ leaf }) => readEventLeaf(leaf).position));
  const changes = files.get(bundleFiles.changes);
  if (changes !== undefined) files.set(bundleFiles.changes, changesOf(changes, hidden));
  return files;
};

const changesOf = (changes: Buffer, hidden: ReadonlySet<number>): Buffer => {
  const lines = changes.toString().split('\n').slice(0, -1);
  const kept = lines.filter((line) => !hidden.has((JSON.parse(line) as { readonly position: number }).position));
  return Buffer.from(kept.map((line) => `${line}\n`).join(''));
};
