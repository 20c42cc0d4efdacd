import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Pool } from 'pg';
import { createEvidenceStore } from '../../../../src/evidence/builder/evidence-store.sql.ts';
import type { LogSigner } from '../../../../src/evidence/builder/ports.ts';
import { keyOfLog, signCheckpoint } from '../../../../src/evidence/builder/sign-log.ts';
import { bundleFiles, checkpointPath, logTilePath, payloadPath } from '../../../../src/evidence/bundle/layout.ts';
import { writePayloadRecord } from '../../../../src/evidence/bundle/payload.ts';
import { readEventRow } from '../../../../src/evidence/growth/event-row.ts';
import { readJournal, writeJournal } from '../../../../src/evidence/journal/statement-text.ts';
import { journalLeaf, writeEventLeaf } from '../../../../src/evidence/leaves/leaf.ts';
import { monthOf, saltOf } from '../../../../src/evidence/leaves/month-key.ts';
import { writePolicy } from '../../../../src/evidence/notes/policy.ts';
import { readStored } from '../../../../src/evidence/stored/read-stored.sql.ts';
import { GrowingTree } from '../../../../src/evidence/tree/growing-tree.ts';
import { leafHash } from '../../../../src/evidence/tree/merkle.ts';

/** What is stored as a bundle; `edit` changes statements, and the key signs them as if it had been so. */
export const storedBundle = async (
  pool: Pool,
  signer: LogSigner,
  edit: (statements: readonly string[]) => readonly string[] = (same) => same,
): Promise<Map<string, Buffer>> => {
  const stored = await readStored(pool);
  if (stored === undefined) throw new Error('nothing is signed');
  const { reader, origins, monthKeys, copyReads } = stored;
  const files = new Map(
    reader.paths.flatMap((path) => (path.startsWith('journal/') ? [] : [[path, reader.read(path) as Buffer]])),
  );
  const texts = edit(readJournal(reader.read(bundleFiles.journalEntries) as Buffer));
  const tree = new GrowingTree();
  for (const text of texts) tree.append(leafHash(journalLeaf(text)));
  files.set(bundleFiles.journalEntries, Buffer.from(writeJournal(texts)));
  const checkpoint = { origin: origins.journal, size: tree.size, root: tree.root() };
  files.set(checkpointPath('journal'), Buffer.from(await signCheckpoint(checkpoint, [signer])));
  for (const tile of tree.takeTiles()) files.set(logTilePath('journal', tile), tile.hashes);
  const keys = [origins.events, origins.journal].map((origin) => keyOfLog(origin, signer.publicKey));
  files.set(bundleFiles.policy, Buffer.from(writePolicy(keys, [], 0)));
  files.set(payloadPath(0), await payloadOf(pool, monthKeys));
  const reads: Buffer[] = [];
  await copyReads((line) => reads.push(Buffer.from(line), Buffer.from('\n')));
  if (reads.length > 0) files.set(bundleFiles.journalReads, Buffer.concat(reads));
  return files;
};

const payloadOf = async (pool: Pool, monthKeys: ReadonlyMap<string, Buffer>): Promise<Buffer> => {
  const { rows } = await pool.query<{ raw: string }>('select raw::text as raw from audit_events order by position');
  const records: Buffer[] = [];
  await createEvidenceStore(pool, 'host/0/bundle', 30_000).copyEvents(0, rows.length, (row) => {
    const event = readEventRow(row);
    const salt = saltOf(monthKeys.get(monthOf(event.actionTimeUs)) as Buffer, event.position);
    records.push(
      writePayloadRecord({
        leaf: writeEventLeaf({ ...event, salt }),
        raw: Buffer.from(rows[records.length]?.raw ?? ''),
      }),
    );
  });
  return Buffer.concat(records);
};

/** The files in a folder. */
export const writeBundle = async (folder: string, files: ReadonlyMap<string, Buffer>): Promise<void> => {
  for (const [path, bytes] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
};
