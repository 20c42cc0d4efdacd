import { expect, test } from 'vitest';
import {
  Findings,
  MAX_EXAMPLES,
  nothingCompared,
  type PageComparison,
} from '../../../../src/ingest/verify/comparison.ts';

test('an entry that comes again in its section counts once; one of another section not yet', () => {
  const findings = new Findings();
  const read = page({
    here: { positions: [1, 2], missing: ['a'], changed: ['b'] },
    beside: { positions: [3], missing: ['c'] },
  });
  findings.add(read);
  findings.add(read);
  expect(counts(findings)).toEqual({ ...nothing, compared: 3, missing: 1, changed: 1 });
  findings.endSection();
  findings.add(page({ here: { positions: [3], missing: ['c'] } }));
  findings.endSection();
  expect(counts(findings)).toEqual({ ...nothing, compared: 5, missing: 2, changed: 1 });
  expect(findings.missing.ids).toEqual(['a', 'c']);
});

test('an entry without a time that two sections serve counts once', () => {
  const findings = new Findings();
  const timeless = { positions: [7], missing: ['x'], changed: ['y'] };
  findings.add(page({ timeless }));
  findings.endSection();
  findings.add(page({ timeless }));
  findings.endSection();
  expect(counts(findings)).toEqual({ ...nothing, compared: 2, missing: 1, changed: 1 });
});

test('a section that is dropped leaves nothing but what was repaired', () => {
  const findings = new Findings();
  findings.add(page({ here: { positions: [1], missing: ['a'] } }));
  findings.dropSection();
  expect(counts(findings)).toEqual(nothing);
  const before = page({ here: { positions: [1], missing: ['a', 'b'] }, beside: { missing: ['c'] } });
  findings.add(before);
  findings.addRepaired(before, page({ here: { positions: [1, 10], missing: ['b'] }, beside: { positions: [11] } }));
  expect(counts(findings)).toEqual({ ...nothing, compared: 3, missing: 3, fixed: 2 });
  findings.dropSection();
  findings.add(page({ here: { positions: [1, 10], missing: ['b'] } }));
  findings.endSection();
  expect(counts(findings)).toEqual({ ...nothing, compared: 3, missing: 3, fixed: 2 });
});

test('names no more ids than a report shows', () => {
  const findings = new Findings();
  const missing = Array.from({ length: MAX_EXAMPLES + 50 }, (_, n) => `id-${n}`);
  findings.add(page({ here: { missing } }));
  findings.endSection();
  findings.addExtra({ entries: 500, ids: missing, within: undefined });
  expect(counts(findings)).toMatchObject({ missing: MAX_EXAMPLES + 50, extra: 500 });
  expect(findings.missing.ids).toHaveLength(MAX_EXAMPLES);
  expect(findings.extraIds).toHaveLength(MAX_EXAMPLES);
});

type Parts = { readonly [Place in keyof PageComparison]?: Partial<PageComparison[Place]> };

const page = (parts: Parts): PageComparison => ({
  here: { ...nothingCompared, ...parts.here },
  beside: { ...nothingCompared, ...parts.beside },
  timeless: { ...nothingCompared, ...parts.timeless },
});

// biome-ignore format: a table
const counts = ({ compared, missing, changed, extra }: Findings) => ({
  compared, missing: missing.entries, fixed: missing.fixed, changed: changed.entries, extra,
});

const nothing = { compared: 0, missing: 0, fixed: 0, changed: 0, extra: 0 };
