import { spawn } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, fchmodSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { codeOf, OrgtrailError } from '../base/errors.ts';
import type { LogSigner } from './builder/ports.ts';
import { publicBytes, SIGNATURE_BYTES, signatureOf } from './bytes.ts';

/** Its group may read the file of a key, as in a container with a mounted secret. */
const OTHERS = 0o037;
const SETTING = 'ORGTRAIL_EVIDENCE_KEY_FILE';
const MAKE = 'openssl genpkey -algorithm ed25519 -out FILE && chmod 600 FILE';

/** PKCS#8 in PEM. Throws OrgtrailError `configuration` if others may read it, too. Messages name neither path nor content. */
export const signerOfFile = (path: string, setting = SETTING): LogSigner => {
  const privateKey = keyOf(path, setting, (pem) => createPrivateKey(pem));
  if (process.platform !== 'win32' && (statSync(path).mode & OTHERS) !== 0) {
    throw fault(setting, 'may be read by other accounts', 'chmod 600 the file, or 440 if its group is only the daemon');
  }
  return {
    publicKey: publicBytes(privateKey),
    sign: async (text) => signatureOf(Buffer.from(text), privateKey),
  };
};

/** From a public or a private key. */
export const publicKeyOfFile = (path: string, setting = SETTING): Buffer =>
  publicBytes(keyOf(path, setting, (pem) => createPublicKey(pem)));

const keyOf = (path: string, setting: string, read: (pem: Buffer) => KeyObject): KeyObject => {
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (error) {
    const code = codeOf(error) ?? '';
    throw fault(setting, `cannot be read (${code})`, `make one with \`orgtrail evidence init\` or \`${MAKE}\``);
  }
  let key: KeyObject | undefined;
  try {
    key = read(pem);
  } catch {}
  if (key?.asymmetricKeyType !== 'ed25519') throw fault(setting, 'is not a key of Ed25519 in PEM', MAKE);
  return key;
};

const fault = (setting: string, message: string, hint: string): OrgtrailError =>
  new OrgtrailError('configuration', `${setting}: the file ${message}`, { hint });

/** False if the file exists. Throws OrgtrailError `configuration` if it cannot be made. */
export const makeKeyFile = (path: string, setting = SETTING): boolean => {
  const { privateKey } = generateKeyPairSync('ed25519');
  let file: number;
  try {
    file = openSync(path, 'wx', 0o600);
  } catch (error) {
    const code = codeOf(error) ?? '';
    if (code === 'EEXIST') return false;
    throw fault(
      setting,
      `cannot be made (${code})`,
      'its folder must exist, and the account must be able to write there',
    );
  }
  try {
    fchmodSync(file, 0o600);
    writeSync(file, String(privateKey.export({ type: 'pkcs8', format: 'pem' })));
  } finally {
    closeSync(file);
  }
  return true;
};

const TIMEOUT_MS = 30_000;
const MAX_ERROR_BYTES = 500;

/** The command gets the text on stdin and writes 64 bytes: the key is in a KMS or HSM. Throws OrgtrailError `configuration`. */
export const signerOfCommand = (
  command: string,
  publicKey: Buffer,
  setting = 'ORGTRAIL_EVIDENCE_SIGNER',
): LogSigner => ({
  publicKey,
  sign: (text) =>
    new Promise((resolve, reject) => {
      const child = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
      const out: Buffer[] = [];
      let words = '';
      const fail = (message: string) =>
        reject(new OrgtrailError('configuration', `the command of ${setting} ${message}`));
      child.on('error', ({ message }) => fail(`cannot be run: ${message}`));
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => {
        words = (words + chunk.toString()).slice(-MAX_ERROR_BYTES);
      });
      // A command that ends without reading what it gets says so by its code.
      child.stdin.on('error', () => {});
      child.on('close', (code) => {
        const signature = Buffer.concat(out);
        if (code === 0 && signature.length === SIGNATURE_BYTES) resolve(signature);
        else if (code === 0) fail(`wrote ${signature.length} bytes instead of ${SIGNATURE_BYTES}`);
        else fail(`ended with ${code ?? 'a signal'}: ${words.trim()}`);
      });
      child.stdin.end(text);
    }),
});
