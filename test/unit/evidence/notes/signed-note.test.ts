import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSigned, publicBytes } from '../../../../src/evidence/bytes.ts';
import {
  isKeyName,
  parseNote,
  parseVerifierKey,
  printVerifierKey,
  readCosignature,
  verifierKey,
  verifyNote,
  writeNote,
} from '../../../../src/evidence/notes/signed-note.ts';
import {
  logKey,
  logLine,
  origin,
  text,
  witnessKey,
  witnessLine,
  witnessName,
} from '../../../support/evidence/anchors/sumdb-notes.ts';
import { logSigner, privateKeyOf, witnessSigner } from '../../../support/evidence/test-keys.ts';
import { forAll } from '../../for-all.ts';

const log = logSigner(origin);
const witness = witnessSigner(witnessName);

test('the same as x/mod/sumdb/note and Go write keys', () => {
  expect(printVerifierKey(log.key)).toBe(logKey);
  expect(printVerifierKey(witness.key)).toBe(witnessKey);
  expect(parseVerifierKey(logKey)).toEqual(log.key);
  expect(parseVerifierKey(witnessKey)).toEqual(witness.key);
});

test('the same as x/mod/sumdb/note and Go write a note, signed and cosigned', () => {
  const note = writeNote({ text, signatures: [log.sign(text), witness.sign(text)] });
  expect(note).toBe(`${text}\n${logLine}${witnessLine}`);
  expect(open(note)).toEqual({
    text,
    signers: [
      { key: log.key, atSeconds: undefined },
      { key: witness.key, atSeconds: 1_767_225_600 },
    ],
    unknown: [],
  });
});

test('the example of the specification verifies', () => {
  const key = parseVerifierKey('example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
  const note =
    'This is an example message.\n\n' +
    '\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
  expect(open(note, [key]).text).toBe('This is an example message.\n');
});

const signed = `${text}\n${logLine}`;
const other = logSigner('other.example.com/log', 'other');

test('a note may have empty lines in its text', () => {
  const poem = 'one\n\ntwo\n\n\nthree\n';
  expect(open(writeNote({ text: poem, signatures: [log.sign(poem)] })).text).toBe(poem);
});

test('a note signed by unknown keys as well is good, and by them alone is not', () => {
  const note = writeNote({ text, signatures: [other.sign(text), log.sign(text)] });
  expect(open(note).unknown.map(({ name }) => name)).toEqual(['other.example.com/log']);
  expect(() => open(writeNote({ text, signatures: [other.sign(text)] }))).toThrow('not signed by a known key');
  expect(() => open(signed, [])).toThrow('not signed by a known key');
  // The same name with another id, and the same id with another name.
  expect(() => open(signed, [logSigner(origin, 'other').key])).toThrow('not signed by a known key');
  expect(() => open(signed, [{ ...log.key, name: 'x' }])).toThrow('not signed by a known key');
});

test('a note with one line of a known key that does not verify is refused, whatever else has signed', () => {
  const wrong = { ...log.sign(text), signature: log.sign('x\n').signature };
  for (const signatures of [
    [log.sign(text), wrong],
    [wrong, log.sign(text)],
    [witness.sign(text), wrong],
  ]) {
    expect(() => open(writeNote({ text, signatures }))).toThrow(
      `the signature of ${origin} (0e4412a4) does not verify`,
    );
  }
  const late = witness.sign(text);
  const signature = Buffer.from(late.signature);
  signature[7] = (signature[7] ?? 0) ^ 1;
  expect(() => open(writeNote({ text, signatures: [{ ...late, signature }] }))).toThrow('does not verify');
  expect(() => open(writeNote({ text, signatures: [{ ...late, signature: signature.subarray(1) }] }))).toThrow(
    'a cosignature of 71 bytes',
  );
  expect(() => open(writeNote({ text, signatures: [{ ...log.sign(text), signature: Buffer.alloc(63) }] }))).toThrow(
    'does not verify',
  );
});

test('a note with any one bit changed is refused: only a line of another key that is put in is not seen', () => {
  const bytes = Buffer.from(signed);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => open(changed)).toThrow();
  }
});

test.each([
  ['no signatures', text, 'has no signatures'],
  ['an empty line instead', `${text}\n`, 'has no signatures'],
  ['no end of its last line', signed.slice(0, -1), 'has no signatures'],
  ['nothing', '', 'has no signatures'],
  ['a carriage return', signed.replace('\n', '\r\n'), 'control characters'],
  ['a tab', signed.replace('43', '4\t3'), 'control characters'],
  ['a hyphen for the dash', signed.replace('\u2014', '-'), 'signature line 1 is not one'],
  ['two spaces', signed.replace('\u2014 ', '\u2014  '), 'signature line 1 is not one'],
  ['a space at the end', signed.replace(/\n$/, ' \n'), 'signature line 1 is not one'],
  ['a name with a plus', signed.replace('\u2014 audit', '\u2014 +audit'), 'signature line 1 is not one'],
  ['a name with a wide space', signed.replace('\u2014 audit', '\u2014 \u3000audit'), 'signature line 1 is not one'],
  ['no padding', signed.replace(/=\n$/, '\n'), 'not base64'],
  ['stray bits', signed.replace(/w=\n$/, 'x=\n'), 'the signature in signature line 1 is not base64'],
  ['letters of base64url', signed.replace('R/Y8x', 'R_Y8x'), 'not base64'],
  ['a signature of four bytes', `${text}\n\u2014 a AAAAAA==\n`, 'too short'],
  ['too many signatures', `${text}\n${'\u2014 a AAAAAAA=\n'.repeat(101)}`, 'more than 100 signatures'],
  ['too many bytes', 'x'.repeat(1_000_001), 'more than 1000000 bytes'],
])('a note with %s is refused', (_what, note, fault) => expect(() => parseNote(Buffer.from(note))).toThrow(fault));

test('a note that is not UTF-8, or begins with a mark of byte order, is another text', () => {
  expect(() => parseNote(Buffer.from([0xff, ...Buffer.from(signed)]))).toThrow('note is not UTF-8');
  expect(() => open(`\ufeff${signed}`)).toThrow('does not verify');
});

test('a note is not written of a text that could not be read back', () => {
  for (const one of ['', 'no end', 'a\tb\n', '\ud800\n']) {
    expect(() => writeNote({ text: one, signatures: [] })).toThrow('not a text for a note');
  }
});

test('a note as many signatures as the specification asks for are read', () => {
  const signatures = Array.from({ length: 16 }, (_, n) => logSigner(`log${n}`, `log${n}`).sign(text));
  expect(open(writeNote({ text, signatures: [...signatures, log.sign(text)] })).unknown).toHaveLength(16);
});

test.each([
  ['nothing', ''],
  ['two parts', `${origin}+0e4412a4`],
  ['an id that does not follow', logKey.replace('0e4412a4', '0e4412a5')],
  ['an id in capitals', logKey.replace('0e4412a4', '0E4412A4')],
  ['another name', `x${logKey}`],
  ['a name with a space', ` ${logKey}`],
  ['no name', logKey.slice(origin.length)],
  ['a type that is not known', 'a+00000000+AqvSpgtJHj4rt9iYNlMwY/9AyyGM/PnsJi9RYZ/9yyjg=='],
  ['a key that is cut', `${origin}+0e4412a4+Aau9KmC0kePiu32J`],
  ['a key that is too short, with the right id', printVerifierKey(verifierKey(origin, 1, Buffer.alloc(31)))],
  ['base64 with stray bits', logKey.replace(/.$/, 'P=')],
  ['more behind it', `${logKey}\n`],
])('a verifier key %s is none', (_what, vkey) => expect(() => parseVerifierKey(vkey)).toThrow());

test('a verifier key names are those that a line can have', () => {
  for (const name of ['example.com/a', 'x', '\u00e9', '\u2014']) expect(isKeyName(name)).toBe(true);
  for (const name of ['', 'a b', 'a+b', 'a\u00a0b', 'a\u0085b', 'a\u2028b', 'a\nb', '\u0000', '\ud800']) {
    expect(isKeyName(name)).toBe(false);
  }
  expect(() => verifierKey('a b', 1, Buffer.alloc(32))).toThrow('cannot be the name of a key');
});

test('Ed25519 is that of RFC 8032, section 7.1, test 2', () => {
  const publicKey = Buffer.from('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', 'hex');
  const signature = Buffer.from(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    'hex',
  );
  expect(isSigned(Buffer.from([0x72]), signature, publicKey)).toBe(true);
  expect(isSigned(Buffer.from([0x73]), signature, publicKey)).toBe(false);
  expect(isSigned(Buffer.from([0x72]), signature.subarray(1), publicKey)).toBe(false);
  expect(isSigned(Buffer.from([0x72]), signature, publicKey.subarray(1))).toBe(false);
  expect(isSigned(Buffer.from([0x72]), signature, Buffer.alloc(32, 0xff))).toBe(false);
});

test('Ed25519 keys of other kinds are refused', () => {
  expect(() => publicBytes(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)).toThrow(
    'a key of ec, not Ed25519',
  );
  expect(publicBytes(privateKeyOf('x'))).toHaveLength(32);
});

test('a cosignature has its time in it', () => {
  const { signature } = witness.sign(text);
  expect(readCosignature(signature).atSeconds).toBe(1_767_225_600);
  forAll([fc.uint8Array({ maxLength: 100 }).filter(({ length }) => length !== 72)], {}, (bytes) =>
    expect(() => readCosignature(bytes)).toThrow('a cosignature of'),
  );
});

const open = (note: string | Uint8Array, keys = [log.key, witness.key]) =>
  verifyNote(parseNote(typeof note === 'string' ? Buffer.from(note) : note), keys);
