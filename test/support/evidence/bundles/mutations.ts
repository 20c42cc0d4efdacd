import { sha256 } from '../../../../src/evidence/bytes.ts';
import type { Files } from '../shapes/shape.ts';
import { begun, dropDecember, type TestHistory, testEvent } from '../test-history.ts';

/** Numbers that follow from a seed. */
export const numbersOf = (seed: number): ((below: number) => number) => {
  let state = seed >>> 0;
  return (below) => {
    // Of Numerical Recipes; the low bits of such a generator repeat soon.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};

/** Of everything that there is: holes, drops in parts, a jump, holds, changes, coverage of each source; more than a tile of each log. */
const richHistory = (): TestHistory => {
  const history = begun(20).append(undefined, undefined);
  for (let number = 2; number < 300; number += 1) {
    const month = number % 90 === 7 ? undefined : number < 120 ? '2025-12' : '2026-01';
    history.append(testEvent(number, ['o1', 'o2', 'o3'][number % 3] ?? '', month));
    if (number % 10 === 0) history.reads.add('o1', 1).add('o2', 1);
    if (number === 150) history.reads.forget('o1', 4);
    if (number % 3 === 0) history.stateCoverage('o1');
  }
  history.append(undefined, undefined);
  history.state({
    type: 'jump',
    id: 1_300,
    positions: [[301, 303]],
    old_timeline: 'a',
    new_timeline: 'b',
    found_at: '2026-02-01T00:00:00Z',
  });
  history.append(testEvent(303, 'o1', '2026-01'));
  const [raw_sha256, length] = [sha256(Buffer.from(laterContent)).toString('hex'), laterContent.length];
  history.state({ type: 'change', position: 250, event_id: 'e', raw_sha256, length, seen_at: '2026-02-01T00:00:00Z' });
  dropDecember(history, { dropped_at: '2026-03-01T00:00:00Z' });
  for (const source of ['o1', 'o2', 'o3']) history.stateCoverage(source);
  return history;
};

const laterContent = '{"later":true}';

/** Its bundle, with a later content and two anchors; without README.txt, so that hashes and signatures find what is found. */
export const richBundle = (): Files => {
  const history = richHistory();
  const line = JSON.stringify({ position: 250, event_id: 'e', seen_at: '2026-02-01T00:00:00Z', raw: laterContent });
  return history
    .bundle()
    .set('changes.ndjson', Buffer.from(`${line}\n`))
    .set('anchors/events', history.checkpoint('events', false))
    .set('anchors/journal', history.checkpoint('journal'));
};

export interface Mutation {
  readonly path: string;
  readonly what: string;
  readonly bytes: Buffer;
}

/** A bit flipped or, in a text, a line edited. Undefined: it changed nothing. */
export const mutationOf = (files: Files, next: (below: number) => number): Mutation | undefined => {
  const paths = [...files.keys()];
  const path = paths[next(paths.length)] ?? '';
  const before = files.get(path) ?? Buffer.alloc(0);
  const isText = /ndjson|txt|checkpoint|anchors/.test(path);
  const { what, bytes } = isText && next(2) === 0 ? edited(before, next) : flipped(before, next);
  return bytes.equals(before) ? undefined : { path, what, bytes };
};

type Change = Omit<Mutation, 'path'>;

const flipped = (before: Buffer, next: (below: number) => number): Change => {
  const bit = next(8 * before.length);
  const bytes = Buffer.from(before);
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return { what: `bit ${bit}`, bytes };
};

const edited = (before: Buffer, next: (below: number) => number): Change => {
  const lines = before.toString('latin1').split('\n').slice(0, -1);
  const [at, other, kind] = [next(lines.length), next(lines.length), next(5)];
  const [line = '', swapped = ''] = [lines[at], lines[other]];
  if (kind === 0) lines.splice(at, 1);
  else if (kind === 1) lines.splice(at, 0, line);
  else if (kind === 2) lines.splice(at, 1, swapped);
  else if (kind === 3) lines.splice(at, 0, '{"type":"drop"}');
  else lines[at] = line.slice(0, next(line.length + 1));
  const words = ['taken away', 'repeated', `replaced by line ${other}`, 'put in', 'cut'];
  return { what: `line ${at} ${words[kind]}`, bytes: Buffer.from(lines.map((one) => `${one}\n`).join(''), 'latin1') };
};
