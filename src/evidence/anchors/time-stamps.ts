import { randomBytes } from 'node:crypto';
import type { Anchor } from '../anchor.ts';
import { EvidenceFault, sha256 } from '../bytes.ts';

/** The interval counts from the last answer, which another process may have had: so it is checked more often. */
const LOOK_MS = 3_600_000;
const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 100_000;

/** RFC 3161: an authority signs when the newest checkpoint of the journal existed. Nothing can be read back. */
export const timeStampsOf = ({
  name,
  url,
  intervalMs,
}: Pick<Anchor, 'name' | 'intervalMs'> & { readonly url: string }): Anchor => ({
  name,
  intervalMs: Math.min(intervalMs, LOOK_MS),
  logs: ['journal'],
  newest: async () => [],
  keepCheckpoint: async ({ note, tilesSize, keptSecondsAgo }) => {
    // Authorities count requests: a process that restarts does not ask before the time.
    if (keptSecondsAgo !== null && keptSecondsAgo * 1_000 < intervalMs) return undefined;
    const request = timeStampRequest(Buffer.from(note), randomBytes(8));
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/timestamp-query' },
      body: Uint8Array.from(request.der),
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer = Buffer.from(await response.arrayBuffer());
    if (response.status !== 200) throw new Error(`HTTP ${response.status} from the time-stamping authority`);
    if (answer.length > MAX_ANSWER_BYTES) throw new Error(`the time stamp has ${answer.length} bytes`);
    requireToken(answer, request);
    return { receipt: answer, tilesSize };
  },
});

/** SHA-256 and its absent parameters, as DER. */
const SHA256_ALGORITHM = Buffer.from('300d06096086480165030402010500', 'hex');
const NONCE_BYTES = 8;

/** Asks for the certificate of the authority as well. */
interface TimeStampRequest {
  /** 69 bytes. */
  readonly der: Buffer;
  readonly imprint: Buffer;
  /** The answer must repeat it. */
  readonly nonce: Buffer;
}

/** `random`: 8 bytes. */
export const timeStampRequest = (text: Uint8Array, random: Uint8Array): TimeStampRequest => {
  const imprint = sha256(text);
  const nonce = Buffer.from(random.subarray(0, NONCE_BYTES));
  // Positive, in all eight bytes.
  nonce[0] = ((nonce[0] ?? 0) & 0x7f) | 0x40;
  const messageImprint = sequence(SHA256_ALGORITHM, element(0x04, imprint));
  const version = element(0x02, Buffer.from([1]));
  const certificateWanted = element(0x01, Buffer.from([0xff]));
  return { der: sequence(version, messageImprint, element(0x02, nonce), certificateWanted), imprint, nonce };
};

/** Throws an EvidenceFault for no token of this request. The auditor verifies the signature (`openssl ts -verify`). */
const requireToken = (answer: Buffer, { imprint, nonce }: TimeStampRequest): void => {
  const status = statusOf(answer);
  if (status !== 0 && status !== 1)
    throw new EvidenceFault(`the authority refused the time stamp, with status ${status}`);
  for (const part of [element(0x04, imprint), element(0x02, nonce)]) {
    if (!answer.includes(part)) throw new EvidenceFault('the time stamp is not one of this checkpoint');
  }
};

/** TimeStampResp: a sequence that begins with one that begins with the status. */
const statusOf = (answer: Buffer): number | undefined => {
  const inner = contentAt(answer, 0, 0x30);
  const info = inner === undefined ? undefined : contentAt(answer, inner, 0x30);
  const status = info === undefined ? undefined : contentAt(answer, info, 0x02);
  return status === undefined ? undefined : answer[status];
};

/** Undefined: no such element begins there. */
const contentAt = (der: Buffer, at: number, tag: number): number | undefined => {
  const length = der[at + 1];
  if (der[at] !== tag || length === undefined) return undefined;
  return at + 2 + (length < 0x80 ? 0 : length & 0x7f);
};

const element = (tag: number, content: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([tag, content.length]), content]);
const sequence = (...parts: readonly Uint8Array[]): Buffer => element(0x30, Buffer.concat(parts));
