import { describe, expect, test } from 'vitest';
import { parseAnchors } from '../../../../src/evidence/anchors/anchor-targets.ts';

describe('ORGTRAIL_EVIDENCE_ANCHORS', () => {
  test('is a list of places, with commas or lines between', () => {
    const worm = { kind: 'file', name: 'file:/mnt/worm', directory: '/mnt/worm' };
    const other = { kind: 'file', name: 'file:///mnt/other disk', directory: '/mnt/other disk' };
    expect(parseAnchors('file:/mnt/worm')).toEqual([worm]);
    expect(parseAnchors(' file:/mnt/worm,\nfile:///mnt/other disk\n')).toEqual([worm, other]);
    expect(parseAnchors('')).toEqual([]);
  });

  test.each(['file:relative/path', '/mnt/worm', 'file://host/share', 'ftp://example.com/', 'file:'])(
    'says what is wrong with %s',
    (text) => {
      expect(parseAnchors(text)).toContain(
        `has ${JSON.stringify(text)}: an anchor must be like file:/mnt/worm/orgtrail`,
      );
    },
  );

  test('names a place once', () => {
    expect(parseAnchors('file:/mnt/worm,file:/mnt/worm')).toBe('names file:/mnt/worm twice');
  });
});
