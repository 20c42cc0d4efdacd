import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AnchorTarget, parseAnchors } from '../../../../src/evidence/anchor.ts';
import { filesIn } from '../../../../src/evidence/anchors/mirror.ts';
import { printVerifierKey, signatureTypes, verifierKey } from '../../../../src/evidence/notes/signed-note.ts';

test('ORGTRAIL_EVIDENCE_ANCHORS is a list of places, with commas or lines between', () => {
  const worm = { kind: 'file', name: 'file:/mnt/worm', directory: '/mnt/worm' };
  const other = { kind: 'file', name: 'file:///mnt/other disk', directory: '/mnt/other disk' };
  expect(parseAnchors('file:/mnt/worm')).toEqual([worm]);
  expect(parseAnchors(' file:/mnt/worm,\nfile:///mnt/other disk\n')).toEqual([worm, other]);
  expect(parseAnchors('')).toEqual([]);
});

test.each(['file:relative/path', '/mnt/worm', 'file://host/share', 'ftp://example.com/', 'file:'])(
  'ORGTRAIL_EVIDENCE_ANCHORS says what is wrong with %s',
  (text) =>
    expect(parseAnchors(text)).toContain(`has ${JSON.stringify(text)}: an anchor must be like file:/mnt/worm/orgtrail`),
);

test('ORGTRAIL_EVIDENCE_ANCHORS a witness has the address that it is submitted to, and its key', () => {
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

test('ORGTRAIL_EVIDENCE_ANCHORS a bucket has a name that does not change with its region and its lock', () => {
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

test('ORGTRAIL_EVIDENCE_ANCHORS names a place once', () =>
  expect(parseAnchors('file:/mnt/worm,file:/mnt/worm')).toBe('names file:/mnt/worm twice'));

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'orgtrail-anchor-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a file is written once, read-only, and nothing else stays behind', async () => {
  const files = filesIn(directory);
  expect(await files.put('a/b/one', Buffer.from('text'))).toEqual({ outcome: 'kept' });
  expect(await files.put('a/b/one', Buffer.from('text'))).toEqual({ outcome: 'same' });
  expect(await files.put('a/b/one', Buffer.from('else'))).toEqual({ outcome: 'other' });
  expect((await files.read('a/b/one')).toString()).toBe('text');
  expect(await readdir(join(directory, 'a/b'))).toEqual(['one']);
  expect((await stat(join(directory, 'a/b/one'))).mode & 0o777).toBe(0o444);
  expect(await files.newestNumbers('a/none', 20)).toEqual([]);
});

test('of several writers of one file, one keeps it', async () => {
  const files = filesIn(directory);
  const results = await Promise.all(
    Array.from({ length: 8 }, (_, index) => files.put('one', Buffer.from(index < 4 ? 'first' : 'other'))),
  );
  const text = (await files.read('one')).toString();
  expect(results.filter(({ outcome }) => outcome === 'kept')).toHaveLength(1);
  expect(results.filter(({ outcome }) => outcome === 'other')).toHaveLength(4);
  expect(['first', 'other']).toContain(text);
  expect(await readdir(directory)).toEqual(['one']);
});

test('a directory that is not there is a failure, not an empty anchor', async () => {
  const files = filesIn(join(directory, 'not-mounted'));
  await expect(files.newestNumbers('events/checkpoints', 20)).rejects.toThrow('ENOENT');
  await expect(files.put('one', Buffer.from('text'))).rejects.toThrow('ENOENT');
  await mkdir(join(directory, 'not-mounted'));
  expect(await files.newestNumbers('events/checkpoints', 20)).toEqual([]);
});

test('the newest of a folder are the largest numbers, whatever else is there', async () => {
  const files = filesIn(directory);
  const name = (number: number) => String(number).padStart(20, '0');
  for (const number of [5, 100, 20, 3]) await files.put(`events/${name(number)}`, Buffer.from('text'));
  await files.put('events/99999999999999999999.tmp', Buffer.from('text'));
  expect(await files.newestNumbers('events', 3)).toEqual([name(100), name(20), name(5)]);
});
