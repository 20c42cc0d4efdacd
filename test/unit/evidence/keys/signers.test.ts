import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { signCheckpoint } from '../../../../src/evidence/builder/signing-keys.ts';
import { isSigned } from '../../../../src/evidence/bytes.ts';
import { makeKeyFile, publicKeyOfFile, signerOfCommand, signerOfFile } from '../../../../src/evidence/keys.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'orgtrail-key-'));
  file = join(folder, 'key.pem');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a key file is made once, for its owner alone, and signs', async () => {
  expect([makeKeyFile(file), makeKeyFile(file)]).toEqual([true, false]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { publicKey, sign } = signerOfFile(file);
  expect(isSigned(Buffer.from('text\n'), await sign('text\n'), publicKey)).toBe(true);
  expect(publicKeyOfFile(file)).toEqual(publicKey);
});

test.each([0o644, 0o660, 0o604])('a key file is refused if others may read it or its group may write: %o', (mode) => {
  makeKeyFile(file);
  chmodSync(file, mode);
  expect(() => signerOfFile(file)).toThrow('may be read by other accounts');
});

test('a key file may be read by its group', () => {
  makeKeyFile(file);
  chmodSync(file, 0o440);
  expect(signerOfFile(file).publicKey).toHaveLength(32);
});

test('a key file is refused if it is missing, no key, or one of another kind; no message has its path', () => {
  expect(() => signerOfFile(file)).toThrow('ORGTRAIL_EVIDENCE_KEY_FILE: the file cannot be read (ENOENT)');
  writeFileSync(file, 'no key', { mode: 0o600 });
  expect(() => signerOfFile(file)).toThrow('is not a key of Ed25519 in PEM');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  expect(() => signerOfFile(file)).toThrow('is not a key of Ed25519 in PEM');
});

const origin = 'audit.example.com/evidence/1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8.1/events';
const checkpoint = { origin, size: 1, root: Buffer.alloc(32) };

test('a command that signs gets the text and gives the signature: openssl', async () => {
  makeKeyFile(file);
  const text = join(folder, 'text');
  const command = `cat > ${text} && openssl pkeyutl -sign -rawin -inkey ${file} -in ${text}`;
  const signer = signerOfCommand(command, publicKeyOfFile(file));
  expect(await signCheckpoint(checkpoint, [signer])).toBe(await signCheckpoint(checkpoint, [signerOfFile(file)]));
});

test.each([
  ['fails', 'echo no access >&2; exit 3', 'ended with 3: no access'],
  ['writes something else', 'echo hello', 'wrote 6 bytes instead of 64'],
  ['signs with another key', 'head -c 64 /dev/zero', 'is not one of the key that is configured'],
])('a command that signs that %s is refused', async (_what, command, message) => {
  makeKeyFile(file);
  await expect(signCheckpoint(checkpoint, [signerOfCommand(command, publicKeyOfFile(file))])).rejects.toThrow(message);
});
