import { describe, expect, test } from 'vitest';
import { type AnchorTarget, parseAnchors } from '../../../../src/evidence/anchors/anchor-targets.ts';
import { printVerifierKey, signatureTypes, verifierKey } from '../../../../src/evidence/notes/verifier-key.ts';

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

  test('a witness has the address that it is submitted to, and its key', () => {
    const key = verifierKey('witness.example.com/w1', signatureTypes.cosignature, Buffer.alloc(32, 7));
    const target = { kind: 'witness', url: 'https://witness.example.com/api', key };
    for (const end of ['', '/']) {
      expect(parseAnchors(`witness:https://witness.example.com/api${end}+${printVerifierKey(key)}`)).toEqual([
        { ...target, name: 'witness:https://witness.example.com/api+witness.example.com/w1' },
      ]);
    }
    const ofLog = verifierKey('witness.example.com/w1', signatureTypes.note, Buffer.alloc(32, 7));
    expect(parseAnchors(`witness:https://witness.example.com+${printVerifierKey(ofLog)}`)).toContain(
      'not one of a witness',
    );
    expect(parseAnchors('witness:https://witness.example.com')).toContain('a witness must be like');
    expect(parseAnchors('witness:https://witness.example.com+name+00000000+AAAA')).toContain('key cannot be read');
  });

  test('a bucket has a name that does not change with its region and its lock', () => {
    const [target] = parseAnchors('s3://worm/orgtrail?region=eu-west-1&lock=400d') as readonly AnchorTarget[];
    expect(target).toMatchObject({ kind: 's3', name: 's3://worm/orgtrail', address: { region: 'eu-west-1' } });
    const both =
      's3://worm/orgtrail,s3://worm/orgtrail?endpoint=https://s3.example.com&credentials_file=/run/secrets/worm';
    const names = (parseAnchors(both) as readonly AnchorTarget[]).map(({ name }) => name);
    expect(names).toEqual(['s3://worm/orgtrail', 's3://worm/orgtrail?endpoint=https://s3.example.com']);
    expect(parseAnchors('s3://key:secret@worm/orgtrail')).toBe(
      'has an s3 anchor that cannot be used: it must have no credential: set it beside the address',
    );
  });

  test('names a place once', () => {
    expect(parseAnchors('file:/mnt/worm,file:/mnt/worm')).toBe('names file:/mnt/worm twice');
  });
});
