import { describe, expect, test } from 'vitest';
import { parseArchive } from '../../../src/archive/archive-address.ts';
import { gapsBetween } from '../../../src/archive/archive-month.ts';
import { differenceOf } from '../../../src/archive/facts.ts';

const end = Number.MAX_SAFE_INTEGER;

describe('gaps between objects', () => {
  test('are all that no object has', () => {
    expect(gapsBetween([])).toEqual([{ after: 0, before: end }]);
    expect(gapsBetween([{ firstPosition: 1, lastPosition: 9 }])).toEqual([{ after: 9, before: end }]);
    expect(
      gapsBetween([
        { firstPosition: 5, lastPosition: 9 },
        { firstPosition: 10, lastPosition: 12 },
        { firstPosition: 20, lastPosition: 20 },
      ]),
    ).toEqual([
      { after: 0, before: 5 },
      { after: 12, before: 20 },
      { after: 20, before: end },
    ]);
  });
});

describe('the address of an archive', () => {
  test.each([
    ['s3://bucket/prefix?region=auto', { kind: 's3', name: 's3://bucket/prefix' }],
    ['file:///mnt/archive/', { kind: 'file', name: 'file:///mnt/archive', directory: '/mnt/archive' }],
    ['file:/mnt/archive', { kind: 'file', name: 'file:///mnt/archive' }],
  ])('%s', (text, target) => {
    expect(parseArchive(text)).toMatchObject(target);
  });

  test.each(['', 'https://bucket', 'file://relative', 'file:///', 's3://key:secret@bucket'])('cannot be %j', (text) => {
    const fault = parseArchive(text);
    expect(fault).toEqual(expect.any(String));
    expect(fault).not.toContain('secret@');
  });
});

test('every fact of a stretch counts', () => {
  const facts = { events: 2, firstPosition: 1, lastPosition: 3, idsSha256: 'a', rawSha256: 'b', columnsSha256: 'c' };
  expect(differenceOf(facts, facts)).toBeUndefined();
  const changes = [{ events: 3 }, { firstPosition: 2 }, { lastPosition: 4 }];
  const hashes = [{ idsSha256: 'x' }, { rawSha256: 'x' }, { columnsSha256: 'x' }];
  for (const change of [...changes, ...hashes]) expect(differenceOf({ ...facts, ...change }, facts)).toMatch(/^has /);
});
