import { type BucketOptions, openBucket } from '../../base/s3/bucket.ts';
import type { Anchor, AnchorStore, AnchorTarget, LogToAnchor } from '../anchor.ts';
import { among } from '../append/log.ts';
import { EvidenceFault } from '../bytes.ts';
import { countOf } from '../notes/checkpoint.ts';
import { parseNote, type VerifierKey, verifyNote } from '../notes/signed-note.ts';
import { consistencyRanges, hashOfRange, tilesOfRanges } from '../tree/proofs.ts';
import { filesIn, mirrorTo, objectsIn } from './mirror.ts';

const INTERVAL_MS = 300_000;

/** Connects and reads nothing yet. */
export const openAnchors = (targets: readonly AnchorTarget[], s3: S3Settings): readonly Anchor[] =>
  targets.map((target) => openAnchor(target, s3));

/** Unless the address of the bucket names a file. */
export type S3Settings = Pick<BucketOptions, 'accessKey' | 'secretKey' | 'environment'>;

const openAnchor = (target: AnchorTarget, s3: S3Settings): Anchor => {
  switch (target.kind) {
    case 'file':
      return mirrorTo(target.name, filesIn(target.directory), INTERVAL_MS);
    case 's3':
      return mirrorTo(target.name, objectsIn(openBucket(target.address, s3)), INTERVAL_MS);
    case 'witness':
      return witnessAt({ ...target, intervalMs: INTERVAL_MS });
  }
};

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_CHARACTERS = 10_000;

/** c2sp.org/tlog-witness: signs only what goes on from the largest checkpoint that it knows. Nothing can be read back. */
export const witnessAt = ({
  name,
  url,
  key,
  intervalMs,
}: Pick<Anchor, 'name' | 'intervalMs'> & { readonly url: string; readonly key: VerifierKey }): Anchor => ({
  name,
  intervalMs,
  newest: async () => [],
  keepCheckpoint: async (log, store) => {
    let answer = await submit(url, log, store, log.keptSize);
    // It knows another size: after a failure, or from another process.
    if (answer.status === 409) {
      const size = countOf(answer.body.trim(), 'the size that the witness answers');
      if (size > log.size)
        throw new EvidenceFault(`the witness has a checkpoint of ${size} leaves, and here are ${log.size}`);
      answer = await submit(url, log, store, size);
    }
    if (answer.status === 422) throw new EvidenceFault(`the witness has another history: ${answer.body.trim()}`);
    if (answer.status !== 200) throw new Error(`HTTP ${answer.status} from the witness: ${answer.body.trim()}`);
    return { receipt: lineOf(log.note, answer.body, key), tilesSize: log.tilesSize };
  },
});

const submit = async (url: string, log: LogToAnchor, store: AnchorStore, from: number) => {
  const proof = await consistencyProof(log, store, from);
  const response = await fetch(`${url}/add-checkpoint`, {
    method: 'POST',
    body: `old ${from}\n${proof.map((hash) => `${hash.toString('base64')}\n`).join('')}\n${log.note}`,
    redirect: 'manual',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return { status: response.status, body: (await response.text()).slice(0, MAX_ANSWER_CHARACTERS) };
};

const consistencyProof = async ({ size }: LogToAnchor, store: AnchorStore, from: number) => {
  const ranges = consistencyRanges(from, size);
  const tiles = among(await store.readTiles(tilesOfRanges(ranges, size)));
  return ranges.map((range) => hashOfRange(range, size, tiles));
};

const lineOf = (note: string, body: string, key: VerifierKey): Buffer => {
  for (const line of body.split('\n')) {
    if (line === '') continue;
    const cosigned = parseNote(Buffer.from(`${note}${line}\n`));
    const isOwn = cosigned.signatures.at(-1);
    if (isOwn?.name !== key.name || isOwn.keyId !== key.id) continue;
    verifyNote(cosigned, [key]);
    return Buffer.from(`${line}\n`);
  }
  throw new EvidenceFault(`the witness answers without a signature of ${key.name}`);
};
