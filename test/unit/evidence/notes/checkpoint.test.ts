import { expect, test } from 'vitest';
import {
  faultOfBase,
  openCheckpoint,
  parseCheckpoint,
  parseOrigin,
  parsePolicy,
  writeCheckpoint,
  writeOrigin,
  writePolicy,
} from '../../../../src/evidence/notes/checkpoint.ts';
import { printVerifierKey, writeNote } from '../../../../src/evidence/notes/signed-note.ts';
import {
  logLine,
  origin,
  root,
  text,
  witnessLine,
  witnessName,
} from '../../../support/evidence/anchors/sumdb-notes.ts';
import { logSigner, witnessSigner } from '../../../support/evidence/test-keys.ts';

const checkpoint = { origin, size: 43, root: Buffer.from(root, 'hex') };
const log = logSigner(origin);
const other = logSigner(origin.replace('events', 'journal'));
const witness = witnessSigner(witnessName).key;

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

const parts = { base: 'audit.example.com/evidence', feedId: '1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8', number: 2 };

test('an origin names the feed and the number of the log', () => {
  const named = 'audit.example.com/evidence/1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8.2';
  expect(writeOrigin(parts)).toBe(named);
  expect(parseOrigin(named)).toEqual(parts);
  for (const one of [named.replace('.2', '.0'), named.replace('.2', ''), `${named}/events`, `https://${named}`])
    expect(() => parseOrigin(one), one).toThrow('not the origin of a log of orgtrail');
});

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

test('a policy that is written is read back; comments and other lines are left alone', () => {
  const policy = { logs: [log.key, other.key], witnesses: [witness] };
  const written = writePolicy(policy);
  expect(written.split('\n').map((line) => line.split(' ')[0])).toEqual(['log', 'log', 'witness', '']);
  expect(parsePolicy(Buffer.from(`# who\nquorum none\n${written}log ${printVerifierKey(log.key)} url\n`))).toEqual(
    policy,
  );
  for (const [line, fault] of [
    [`log ${printVerifierKey(witness)}`, 'is not of the type'],
    [`witness w ${printVerifierKey(log.key)}`, 'is not of the type'],
    ['log', 'line 1 of the policy: '],
  ] as const)
    expect(() => parsePolicy(Buffer.from(line)), line).toThrow(fault);
});

test('a checkpoint is believed if its log has signed', () => {
  const both = { logs: [log.key, other.key], witnesses: [witness] };
  const opened = openCheckpoint(Buffer.from(`${text}\n${logLine}${witnessLine}`), both);
  expect(opened).toMatchObject(checkpoint);
  expect(opened.signers.map(({ atSeconds }) => atSeconds)).toEqual([undefined, 1_767_225_600]);
  expect(() => openCheckpoint(Buffer.from(`${text}\n${witnessLine}`), both)).toThrow(`is not signed by ${origin}`);
  const note = writeNote({ text, signatures: [other.sign(text)] });
  expect(() => openCheckpoint(Buffer.from(note), both)).toThrow(`is not signed by ${origin}`);
});
