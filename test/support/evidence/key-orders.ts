import type { Pool } from 'pg';
import type { KeyOrder } from '../../../src/evidence/append/keys-in-force.ts';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../../../src/evidence/builder/ports.ts';
import { keyOfLog } from '../../../src/evidence/notes/checkpoint.ts';
import { parseNote } from '../../../src/evidence/notes/signed-note.ts';
import { orderKey } from '../../../src/evidence/stored/orders.sql.ts';
import { newestNote } from './builder-world.ts';

const WEEK_MS = 7 * 86_400_000;

/** Orders a key as the command does, and gives the id of the order. */
export const orderNewKey = async (
  pool: Pool,
  { publicKey }: LogSigner,
  reason: KeyOrder['reason'],
  bothForMs = reason === 'rotation' ? WEEK_MS : 0,
): Promise<number> => await orderKey(pool, { reason, publicKey: Buffer.from(publicKey), bothForMs, by: 'J. Doe' });

/** The ids of the keys that signed the newest checkpoint. */
export const signersOfNewest = async (pool: Pool): Promise<readonly number[]> =>
  parseNote(Buffer.from(await newestNote(pool))).signatures.map(({ keyId }) => keyId);

/** What `signersOfNewest` says if these signed. */
export const idsOf = async (pool: Pool, ...signers: readonly LogSigner[]): Promise<readonly number[]> => {
  const log = await createEvidenceStore(pool, 'key', 0).readLog();
  return signers.map(({ publicKey }) => keyOfLog(log?.origin ?? '', publicKey).id);
};
