import { execFile as execFileWithCallback } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { listen } from '../../network/listen.ts';

const execFile = promisify(execFileWithCallback);

/** A time-stamping authority on loopback, by openssl. */
export interface TestAuthority extends AsyncDisposable {
  readonly url: string;
  /** Of its certificate, for `openssl ts -verify`. */
  readonly certificateFile: string;
  /** It answers this instead of a token. */
  failWith(status: number): void;
  /** Whether openssl accepts an answer for this text. */
  verifies(answer: Uint8Array, text: Uint8Array): Promise<boolean>;
}

const configuration = (folder: string): string => `
[req]
distinguished_name = name
prompt = no
x509_extensions = usage
[name]
CN = time stamps of a test
[usage]
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = one
[one]
serial = ${folder}/serial
signer_cert = ${folder}/certificate.pem
signer_key = ${folder}/key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
`;

export const startAuthority = async (): Promise<TestAuthority> => {
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-tsa-'));
  const file = (name: string) => join(folder, name);
  await writeFile(file('openssl.cnf'), configuration(folder));
  await writeFile(file('serial'), '01\n');
  const made = ['-keyout', file('key.pem'), '-out', file('certificate.pem'), '-config', file('openssl.cnf')];
  await execFile('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...made]);
  let status = 200;
  // One at a time: they count a serial number in a file.
  let last: Promise<unknown> = Promise.resolve();
  const answer = async (query: Buffer): Promise<Buffer> => {
    await writeFile(file('query'), query);
    const config = ['-config', file('openssl.cnf')];
    await execFile('openssl', ['ts', '-reply', '-queryfile', file('query'), '-out', file('answer'), ...config]);
    return await readFile(file('answer'));
  };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const next = last.then(() => answer(Buffer.concat(parts)));
      last = next.catch(() => {});
      void next.then((bytes) =>
        response.writeHead(status, { 'content-type': 'application/timestamp-reply' }).end(bytes),
      );
    });
  });
  const { port, stop } = await listen(server);
  return {
    url: `http://127.0.0.1:${port}/tsr`,
    certificateFile: file('certificate.pem'),
    failWith: (code) => {
      status = code;
    },
    verifies: async (bytes, text) => {
      await writeFile(file('text'), text);
      await writeFile(file('token'), bytes);
      const trusted = ['-CAfile', file('certificate.pem')];
      return await execFile('openssl', ['ts', '-verify', '-data', file('text'), '-in', file('token'), ...trusted]).then(
        () => true,
        () => false,
      );
    },
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
};
