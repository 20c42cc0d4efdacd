import type { Pool } from 'pg';
import type { KeyOrder } from '../../../src/evidence/append/keys-in-force.ts';
import { createEvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../../../src/evidence/builder/ports.ts';
import { vkeysOf } from '../../../src/evidence/builder/signing-keys.ts';
import { parseNote } from '../../../src/evidence/notes/signed-note.ts';
import { orderKey } from '../../../src/evidence/stored/orders.sql.ts';

const WEEK_MS = 7 * 86_400_000;

/** Orders a key as the command does, and gives the id of the order. */
export const orderNewKey = async (
  pool: Pool,
  signer: LogSigner,
  reason: KeyOrder['reason'],
  bothForMs = reason === 'rotation' ? WEEK_MS : 0,
): Promise<number> => {
  const logs = await createEvidenceStore(pool, 'key', 0).readLogs();
  if (logs === undefined) throw new Error('there is no log');
  const vkeys = vkeysOf([logs.events.origin, logs.journal.origin], signer);
  return await orderKey(pool, { generation: logs.generation, reason, vkeys, bothForMs, by: 'J. Doe' });
};

/** Of each log, by its newest checkpoint: the ids of the keys that signed. */
export const signersOfNewest = async (pool: Pool): Promise<Readonly<Record<string, readonly number[]>>> => {
  const { rows } = await pool.query<{ log: string; note: string }>(
    'select distinct on (log) log, note from evidence_checkpoints order by log, generation desc, size desc',
  );
  return Object.fromEntries(
    rows.map(({ log, note }) => [log, parseNote(Buffer.from(note)).signatures.map(({ keyId }) => keyId)]),
  );
};

/** What `signersOfNewest` says if these signed. */
export const idsOf = async (pool: Pool, ...signers: readonly LogSigner[]) => {
  const logs = await createEvidenceStore(pool, 'key', 0).readLogs();
  if (logs === undefined) throw new Error('there is no log');
  const ids = (origin: string) =>
    signers.flatMap((signer) => vkeysOf([origin], signer)).map((vkey) => Number.parseInt(vkey.split('+')[1] ?? '', 16));
  return { events: ids(logs.events.origin), journal: ids(logs.journal.origin) };
};
