import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const openssl = (words: string, ...more: readonly string[]) => execute('openssl', [...words.split(' '), ...more]);
const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

/** True where the program is that makes the certificates. */
export const hasOpenssl = (): Promise<boolean> =>
  openssl('version').then(
    () => true,
    () => false,
  );

/** The paths of a certificate and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

const pathsOf = (directory: string, name: string): CertificateFiles => ({
  cert: join(directory, `${name}.crt`),
  key: join(directory, `${name}.key`),
});

/** Makes a certificate authority of its own. */
export const createCa = async (directory: string, name: string): Promise<CertificateFiles> => {
  const { cert, key } = pathsOf(directory, name);
  const options = `req -x509 -days 2 -addext basicConstraints=critical,CA:TRUE ${newKey}`;
  await openssl(options, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert);
  return { cert, key };
};

/** Makes a certificate with this common name, signed by `ca`; `names` as in `DNS:localhost,IP:127.0.0.1`. */
export const createCertificate = async (
  directory: string,
  ca: CertificateFiles,
  commonName: string,
  names = `DNS:${commonName}`,
): Promise<CertificateFiles> => {
  const { cert, key } = pathsOf(directory, commonName);
  const [request, extensions] = [join(directory, `${commonName}.csr`), join(directory, `${commonName}.ext`)];
  await writeFile(extensions, `subjectAltName=${names}\n`);
  await openssl(`req -new ${newKey}`, '-subj', `/CN=${commonName}`, '-keyout', key, '-out', request);
  const files = ['-in', request, '-extfile', extensions, '-out', cert, '-CA', ca.cert, '-CAkey', ca.key];
  await openssl('x509 -req -days 2 -CAcreateserial', ...files);
  return { cert, key };
};
