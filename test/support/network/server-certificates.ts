import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface KeyPair {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** A private certificate authority, and servers' certificates good and bad, made by the program `openssl`. */
export interface Certificates extends AsyncDisposable {
  /** The certificate of the authority: what NODE_EXTRA_CA_CERTS names. */
  readonly authorityFile: string;
  /** Of `localhost`, by the authority. */
  readonly good: KeyPair;
  readonly expired: KeyPair;
  /** By the authority, but for another name. */
  readonly otherName: KeyPair;
  readonly selfSigned: KeyPair;
}

// `openssl ca` is the one way to give a certificate dates in the past that every version knows.
const configuration = (directory: string) => `
[ca]
default_ca = authority
[authority]
database = ${directory}/index
new_certs_dir = ${directory}
serial = ${directory}/serial
default_md = sha256
policy = policy
unique_subject = no
copy_extensions = copy
email_in_dn = no
[policy]
commonName = supplied
`;

export const makeCertificates = async (): Promise<Certificates> => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-certificates-'));
  const file = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: directory });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await writeFile(file('ca.cnf'), configuration(directory));
  await writeFile(file('index'), '');
  await writeFile(file('serial'), '01\n');
  await openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test CA', '-days', '2');
  const read = async (name: string) => ({
    key: await readFile(file(`${name}.key`)),
    cert: await readFile(file(`${name}.pem`)),
  });
  const issue = async (name: string, host: string, from: string, to: string): Promise<KeyPair> => {
    const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`];
    await openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, ...subject);
    const dates = ['-startdate', from, '-enddate', to];
    const signer = ['-config', 'ca.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key', '-batch', '-notext'];
    await openssl('ca', ...signer, '-in', `${name}.csr`, '-out', `${name}.pem`, ...dates);
    return await read(name);
  };
  const alone = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '2'];
  await openssl('req', '-x509', ...newKey, '-keyout', 'alone.key', '-out', 'alone.pem', ...alone);
  return {
    authorityFile: file('ca.pem'),
    good: await issue('good', 'localhost', '20200101000000Z', '20991231000000Z'),
    expired: await issue('expired', 'localhost', '20200101000000Z', '20200201000000Z'),
    otherName: await issue('other', 'other.example', '20200101000000Z', '20991231000000Z'),
    selfSigned: await read('alone'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
};
