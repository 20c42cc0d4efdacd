import { spawn } from 'node:child_process';
import { OrgtrailError } from '../../errors.ts';
import type { LogSigner } from '../builder/ports.ts';
import { SIGNATURE_BYTES } from '../crypto/ed25519.ts';

const TIMEOUT_MS = 30_000;
const MAX_ERROR_BYTES = 500;

/**
 * Signs with a command that gets the text on stdin and writes 64 bytes to stdout: the key is in a KMS, an HSM, a vault. Throws OrgtrailError
 * `configuration` if it fails, with the end of what it wrote to stderr.
 */
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
