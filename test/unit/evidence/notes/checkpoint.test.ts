import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  faultOfBase,
  parseCheckpoint,
  parseOrigin,
  parseTlogProof,
  writeCheckpoint,
  writeOrigin,
  writeTlogProof,
} from '../../../../src/evidence/notes/checkpoint.ts';
import { openCheckpoint, parsePolicy, writePolicy } from '../../../../src/evidence/notes/policy.ts';
import { writeNote } from '../../../../src/evidence/notes/signed-note.ts';
import {
  logLine,
  origin,
  root,
  text,
  witnessLine,
  witnessName,
} from '../../../support/evidence/anchors/sumdb-notes.ts';
import { logSigner, witnessSigner } from '../../../support/evidence/test-keys.ts';
import { forAll } from '../../for-all.ts';

const checkpoint = { origin, size: 43, root: Buffer.from(root, 'hex') };
const log = logSigner(origin);
const journal = logSigner(origin.replace('events', 'journal'));
const witness = { name: 'w1', key: witnessSigner(witnessName).key };

test('the text of a checkpoint is three lines, as x/mod/sumdb reads them', () => {
  expect(writeCheckpoint(checkpoint)).toBe(text);
  expect(parseCheckpoint(text)).toEqual(checkpoint);
  expect(parseCheckpoint(writeCheckpoint({ ...checkpoint, size: 0 })).size).toBe(0);
  expect(() => writeCheckpoint({ ...checkpoint, size: -1 })).toThrow(RangeError);
  expect(() => writeCheckpoint({ ...checkpoint, root: Buffer.alloc(31) })).toThrow(RangeError);
});

test.each([
  ['', 'not three lines'],
  [text.slice(0, -1), 'not three lines'],
  [`\n43\n${text.split('\n')[2]}\n`, 'not three lines'],
  [`${text}extension\n`, 'extension lines'],
  [text.replace('43', '043'), 'the size in a checkpoint is no number'],
  [text.replace('43', '+43'), 'the size in a checkpoint is no number'],
  [text.replace('43', '-1'), 'the size in a checkpoint is no number'],
  [text.replace('43', '9007199254740993'), 'the size in a checkpoint is no number'],
  [text.replace('PW4=', 'PW5='), 'the root in a checkpoint is not base64'],
  [text.replace('PW4=', ''), 'the root in a checkpoint has 30 bytes'],
])('the text of a checkpoint %j is none', (one, fault) => expect(() => parseCheckpoint(one)).toThrow(fault));

const parts = { base: 'audit.example.com/evidence', feedId: '1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8', generation: 1 };

test('an origin names the feed, the generation and the log', () => {
  expect(writeOrigin({ ...parts, log: 'events' })).toBe(origin);
  expect(parseOrigin(origin)).toEqual({ ...parts, log: 'events' });
  const second = { ...parts, generation: 2, log: 'journal' as const };
  expect(parseOrigin(writeOrigin(second))).toEqual(second);
});

test.each([
  origin.replace('.1/', '.0/'),
  origin.replace('.1/', '/'),
  origin.replace('events', 'other'),
  `${origin}/`,
  `https://${origin}`,
])('an origin %s is none', (one) => expect(() => parseOrigin(one)).toThrow('not the origin of a log of orgtrail'));

test.each([
  'audit.example.com',
  'audit.example.com/evidence',
  'audit.example.com:8443/a/b-c_d',
  'localhost',
  '10.0.0.1/x',
])('an origin %s can be the beginning of one', (base) => expect(faultOfBase(base)).toBeUndefined());

test.each([
  ['', 'is empty'],
  ['https://audit.example.com', 'without the scheme'],
  ['audit.example.com/', 'must not end'],
  ['audit example', 'must be like'],
  ['audit.example.com/a+b', 'must be like'],
  ['Audit.example.com', 'must be like'],
  ['audit.example.com//x', 'must be like'],
  ['audit.example.com/x?y', 'must be like'],
  ['audit.example.com\n', 'must be like'],
  [`a/${'x'.repeat(200)}`, 'must not be longer'],
])('an origin %j cannot', (base, fault) => expect(faultOfBase(base)).toContain(fault));

const vkey = (signer: { key: Parameters<typeof writePolicy>[0][number] }) =>
  writePolicy([signer.key], [], 0).split(/[ \n]/)[1];
const witnesses = ['a', 'b', 'c', 'd'].map((name) => ({
  name,
  key: witnessSigner(`${name}.example.com`, 1, name).key,
}));
const lines = witnesses.map(({ name, key }) => writePolicy([], [{ name, key }], 0).split('\n')[0] ?? '');
const cosigned = (names: string, required: ReturnType<typeof policy>) => {
  const cosigners = [...names].map((name) => witnessSigner(`${name}.example.com`, 1, name).sign(text));
  const note = writeNote({ text, signatures: [log.sign(text), ...cosigners] });
  try {
    return openCheckpoint(Buffer.from(note), required).signers.length === names.length + 1;
  } catch (error) {
    expect(String(error)).toContain('cosigned by too few witnesses');
    return false;
  }
};

test('a policy that is written is read back', () => {
  const written = writePolicy([log.key, journal.key], [witness], 1);
  // biome-ignore format: a table
  expect(written.split('\n').map((line) => line.split(' ')[0])).toEqual([
    'log', 'log', 'witness', 'group', 'quorum', '',
  ]);
  const read = parsePolicy(Buffer.from(written));
  expect(read.logs).toEqual([log.key, journal.key]);
  expect(read.witnesses).toEqual([witness]);
  expect(parsePolicy(Buffer.from(writePolicy([log.key], [], 0))).quorum).toEqual({ needed: 0, members: [] });
});

test('a policy has groups of groups: the example of the specification', () => {
  const required = policy(
    `log ${vkey(log)} https://audit.example.com/`,
    '# two of three, and the fourth',
    ...lines,
    'group three 2 a b c',
    '\tgroup  all-of-it all three d ',
    'quorum all-of-it',
  );
  expect([cosigned('abd', required), cosigned('bcd', required)]).toEqual([true, true]);
  expect(cosigned('abcd', required)).toBe(true);
  for (const names of ['', 'a', 'd', 'ad', 'abc']) expect(cosigned(names, required)).toBe(false);
  const any = policy(`log ${vkey(log)}`, ...lines, 'group one any a b', 'quorum one');
  expect([cosigned('b', any), cosigned('c', any)]).toEqual([true, false]);
  expect(cosigned('a', policy(`log ${vkey(log)}`, ...lines, 'quorum a'))).toBe(true);
});

test.each([
  ['no quorum', [], 'no quorum line'],
  ['two', ['quorum none', 'quorum none'], 'line 2 of the policy: is not the only quorum'],
  ['one that is not defined', ['quorum a'], 'line 1 of the policy: a is not defined above'],
  ['a word that is none', ['logs x'], 'line 1 of the policy: begins with none of'],
  ['control characters', ['quorum none\r'], 'line 1 of the policy: has control characters'],
  ['a log again', [`log ${'LOG'}`, `log ${'LOG'}`], 'line 2 of the policy: log again'],
  ['a witness again', [lines[0] ?? '', (lines[0] ?? '').replace(' a ', ' b ')], 'witness again'],
  ['a name twice', [lines[0] ?? '', (lines[1] ?? '').replace(' b ', ' a ')], 'cannot define a'],
  ['a witness of the name none', [(lines[0] ?? '').replace(' a ', ' none ')], 'cannot define none'],
  ['a log among the witnesses', ['witness a LOG'], 'is not of the type'],
  ['a witness among the logs', [`log ${(lines[0] ?? '').split(' ')[2]}`], 'is not of the type'],
  ['more than a URL', ['log LOG x y'], 'is not log VKEY [URL]'],
  ['a group of none', ['group g all'], 'is not group NAME'],
  ['a group of too many', [...lines, 'group g 3 a b'], 'is not group NAME'],
  ['a group of no one needed', [...lines, 'group g 0 a b'], 'is not group NAME'],
  ['a group by a word that is none', [...lines, 'group g constructor a b'], 'is not group NAME'],
  ['a member of two groups', [...lines, 'group g any a b', 'group h any b c'], 'b is in a group twice'],
  ['none in a group', ['group g any none'], 'none is not defined above'],
])('a policy with %s is refused', (_what, all, fault) =>
  expect(() => policy(...all.map((line) => line.replace('LOG', vkey(log) ?? '')))).toThrow(fault),
);

test('a policy may have comments and names that are not ASCII', () => {
  const latin1 = Buffer.from('# \u00e9\nquorum none\n', 'latin1');
  expect(parsePolicy(latin1).logs).toEqual([]);
  const named = { ...witness, name: 'w' };
  const strange = logSigner('\u00e9.example.com/log');
  expect(parsePolicy(Buffer.from(writePolicy([strange.key], [named], 1))).logs).toEqual([strange.key]);
});

const both = parsePolicy(Buffer.from(writePolicy([log.key, journal.key], [witness], 1)));

test('a checkpoint is believed if its log has signed, and the witnesses that the policy requires', () => {
  const opened = openCheckpoint(Buffer.from(`${text}\n${logLine}${witnessLine}`), both);
  expect(opened).toMatchObject(checkpoint);
  expect(opened.signers.map(({ atSeconds }) => atSeconds)).toEqual([undefined, 1_767_225_600]);
  expect(() => openCheckpoint(Buffer.from(`${text}\n${logLine}`), both)).toThrow('too few witnesses');
  expect(() => openCheckpoint(Buffer.from(`${text}\n${witnessLine}`), both)).toThrow(`is not signed by ${origin}`);
});

test('a checkpoint is believed not if only another log of the policy has signed it', () => {
  const note = writeNote({ text, signatures: [journal.sign(text), witnessSigner(witnessName).sign(text)] });
  expect(() => openCheckpoint(Buffer.from(note), both)).toThrow(`is not signed by ${origin}`);
});

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const checkpointNote = `${text}\n${logLine}`;
const proof = { index: 42, hashes: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)], checkpoint: checkpointNote };

test('a .tlog-proof is lines of text, with the checkpoint verbatim', () => {
  const line = (byte: number) => Buffer.alloc(32, byte).toString('base64');
  expect(writeTlogProof(proof)).toBe(`c2sp.org/tlog-proof@v1\nindex 42\n${line(1)}\n${line(2)}\n\n${checkpointNote}`);
  expect(writeTlogProof({ index: 0, hashes: [], checkpoint: 'c\n', extra: Buffer.from('x') })).toBe(
    'c2sp.org/tlog-proof@v1\nextra eA==\nindex 0\n\nc\n',
  );
});

test('a .tlog-proof is read back', () => {
  const some = fc.record(
    {
      extra: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
      index: fc.maxSafeNat(),
      hashes: fc.array(hash, { maxLength: 63 }),
      checkpoint: fc.constant(checkpointNote),
    },
    { requiredKeys: ['index', 'hashes', 'checkpoint'] },
  );
  forAll([some], { seed: 20_261_126 }, (one) => expect(parseTlogProof(Buffer.from(writeTlogProof(one)))).toEqual(one));
});

const written = writeTlogProof(proof);
test.each([
  ['', 'does not begin with'],
  [written.replace('@v1', '@v2'), 'does not begin with'],
  [written.slice(0, written.indexOf('\n\n') + 1), 'does not begin with'],
  [written.replace('index 42', 'index 042'), 'the index in a proof is no number'],
  [written.replace('index 42\n', ''), 'has no index'],
  [written.replace('index', 'extra eB==\nindex'), 'the extra data of the proof is not base64'],
  [written.replace('index', 'other\nindex'), 'has no index'],
  [writeTlogProof({ ...proof, hashes: [Buffer.alloc(31)] }), 'a hash of the proof is cut'],
  [writeTlogProof({ ...proof, hashes: Array.from({ length: 64 }, () => Buffer.alloc(32)) }), 'proof has 64 hashes'],
])('a .tlog-proof %j is none', (one, fault) => expect(() => parseTlogProof(Buffer.from(one))).toThrow(fault));

const policy = (...lines: readonly string[]) => parsePolicy(Buffer.from(lines.join('\n')));
