import { readFileSync } from 'node:fs';
import { Agent, type Dispatcher, errors } from 'undici';
import { codeOf, isUntrustedCertificate, OrgtrailError } from './errors.ts';

/** Keeps connections to one place. `timeoutMs` limits each wait for its headers and for parts of its body. */
export const createAgent = (limits: {
  readonly connections: number;
  readonly connectMs: number;
  readonly timeoutMs: number;
  readonly ca: Buffer | undefined;
}): Agent =>
  new Agent({
    connections: limits.connections,
    // Said although it is the default, since NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    connect: {
      rejectUnauthorized: true,
      timeout: limits.connectMs,
      ...(limits.ca !== undefined && { ca: limits.ca }),
    },
    headersTimeout: limits.timeoutMs,
    bodyTimeout: limits.timeoutMs,
  });

/** Throws OrgtrailError `configuration` in these words if the file cannot be read. */
export const readCa = (file: string | undefined, words: (code: string) => string): Buffer | undefined => {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file);
  } catch (error) {
    const code = codeOf(error);
    throw new OrgtrailError('configuration', words(code === undefined ? '' : ` (${code})`));
  }
};

/** Throws in these words if the body is larger. */
export const readBody = async (
  { body }: Dispatcher.ResponseData,
  maxBytes: number,
  tooLarge: string,
): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw new Error(tooLarge);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

/** In words: `setting` has the address, `wordsOf` tells all that is not about TLS or HTTP itself. */
export const whyNoAnswer = (
  error: unknown,
  setting: 'url' | 'endpoint',
  wordsOf: (error: unknown, code: string | undefined) => string,
): string => {
  const check = `check scheme and port of ${setting}`;
  // The one error of undici's that comes without a code.
  if (error instanceof errors.HTTPParserError) return `the answer is not HTTP: ${check}`;
  const code = codeOf(error);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return `the answer is not TLS: ${check} (${code})`;
  const words = wordsOf(error, code);
  return isUntrustedCertificate(code) ? `${words}: name the certificate's authority in ca_file` : words;
};
