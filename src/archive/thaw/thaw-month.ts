import { createReadStream } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrgtrailError } from '../../base/errors.ts';
import { collectGarbage } from '../../base/memory.ts';
import { copyIn } from '../../postgres/copy.ts';
import { inTransaction, type Pool } from '../../postgres/pool.ts';
import { type CataloguedObject, noteRead, readCatalogue } from '../catalogue.sql.ts';
import { columnsOf, type ObjectKind, objectKinds } from '../columns.ts';
import { readObject } from '../manifest.ts';
import { writeCsv } from '../parquet/parquet.ts';
import { type ObjectStore, withDirectory } from '../store.ts';
import { attachThaw, beginThaw, type ClaimedThaw, checkThaw, findThawed, indexThaw } from './thaws.sql.ts';

/** More need more processors. */
const INDEX_CONNECTIONS = 2;
/** As many as there are indexes, or more. */
const INDEX_PARTS = 16;
const ATTACH_ATTEMPTS = 30;
const ATTACH_PAUSE_MS = 1_000;
const FOUND_AT_ONCE = 5_000;
const READ_BYTES = 1_048_576;

interface ThawContext {
  readonly pool: Pool;
  readonly store: ObjectStore;
  readonly signal: AbortSignal;
  /** Events in the tables that are to become the month. */
  readonly onCopied: (events: number) => void;
}

/**
 * Brings a month back, as one that never left: the same positions, texts and later contents. Its rows are copied into a table without indexes that
 * no one reads, while the next object is converted; then they are indexed, compared with the catalogue by every hash, and become a part of the
 * history at once. Rejects if an object is not what was written; then nothing has changed, nor if it is killed: it begins again.
 */
export const thawMonth = async (context: ThawContext, thaw: ClaimedThaw): Promise<void> => {
  const { pool, store, signal } = context;
  const objects = (await readCatalogue(pool, thaw.month)).filter(({ droppedAt }) => droppedAt !== null);
  const elsewhere = objects.find(({ archive }) => archive !== store.name);
  if (elsewhere !== undefined)
    throw new OrgtrailError('usage', `${elsewhere.key} is in the archive ${elsewhere.archive}, not in ${store.name}`);
  await withDirectory((directory) => copyObjects(context, thaw, objects, directory));
  await indexAndCheck(pool, thaw, signal);
  for (let attempt = 0; !(await attachThaw(pool, thaw)); attempt += 1) {
    if (attempt === ATTACH_ATTEMPTS) throw new Error('others read the history for long: ask for it again');
    await sleep(ATTACH_PAUSE_MS, undefined, { signal });
  }
};

/** The comparison, which is the longest, and the indexes wait for a connection in turn. */
const indexAndCheck = async (pool: Pool, thaw: ClaimedThaw, signal: AbortSignal): Promise<void> => {
  const index = (part: number) => indexThaw(pool, thaw, part, INDEX_PARTS);
  const check = async () => {
    const difference = await checkThaw(pool, thaw);
    if (difference !== undefined) throw new OrgtrailError('verification_failed', difference);
  };
  await index(0);
  const work = [check, ...Array.from({ length: INDEX_PARTS - 1 }, (_, part) => () => index(part + 1))].values();
  const workers = Array.from({ length: INDEX_CONNECTIONS }, async () => {
    for (const each of work) {
      signal.throwIfAborted();
      await each();
    }
  });
  for (const each of await Promise.allSettled(workers)) if (each.status === 'rejected') throw each.reason;
};

/** Its findings went with it. Sinks are behind them, and get none. */
export const findAgain = async ({ pool, signal }: Pick<ThawContext, 'pool' | 'signal'>, thaw: ClaimedThaw) => {
  while (!(await findThawed(pool, thaw, FOUND_AT_ONCE))) signal.throwIfAborted();
};

const copyObjects = async (
  { pool, store, signal, onCopied }: ThawContext,
  thaw: ClaimedThaw,
  objects: readonly CataloguedObject[],
  directory: string,
): Promise<void> => {
  const files = convertedAhead({ pool, store, signal }, objects, directory);
  let copied = 0;
  try {
    await inTransaction(
      pool,
      async (client) => {
        // While an object is fetched.
        await client.query("set local idle_in_transaction_session_timeout = '10min'");
        const tables = await beginThaw(client, thaw);
        for await (const { object, file } of files) {
          const columns = storedColumnsOf[object.kind].map(({ name }) => storedNames[name] ?? name).join(', ');
          const statement = `copy ${tables[object.kind]} (${columns}) from stdin (format csv, freeze, null '')`;
          await copyIn(client, statement, createReadStream(file, { highWaterMark: READ_BYTES }));
          await rm(file);
          if (object.kind === 'events') copied += object.events;
          onCopied(copied);
        }
      },
      signal,
    );
  } finally {
    await files.return();
  }
};

/** Without what the database knows by itself. */
const storedColumnsOf: Readonly<Record<ObjectKind, typeof columnsOf.events>> = {
  events: columnsOf.events.filter(({ name }) => name !== 'organization_name'),
  changes: columnsOf.changes,
};
const storedNames: Readonly<Record<string, string>> = { change_id: 'id' };

/** The next object is fetched and converted while one is used. */
async function* convertedAhead(
  context: Omit<ThawContext, 'onCopied'>,
  objects: readonly CataloguedObject[],
  directory: string,
) {
  const inOrder = objectKinds.flatMap((kind) => objects.filter((object) => object.kind === kind));
  const convert = async (object: CataloguedObject | undefined) => {
    const converted = object && { object, file: await toCsv(context, object, directory) };
    return converted;
  };
  let next = convert(inOrder[0]);
  try {
    for (let index = 1; index <= inOrder.length; index += 1) {
      const ready = await next;
      next = convert(inOrder[index]);
      next.catch(() => {});
      if (ready !== undefined) yield ready;
    }
  } finally {
    // It is at work on files that are removed.
    await next.catch(() => {});
  }
}

/** Believed only if it has the bytes that were compared with the database. */
const toCsv = async (
  { pool, store, signal }: Omit<ThawContext, 'onCopied'>,
  object: CataloguedObject,
  directory: string,
): Promise<string> => {
  const [parquet, csv] = [join(directory, `${object.id}.parquet`), join(directory, `${object.id}.csv`)];
  signal.throwIfAborted();
  await fetchInto(pool, store, object, parquet, signal);
  collectGarbage();
  await writeCsv(parquet, csv, { directory, columns: storedColumnsOf[object.kind] });
  await rm(parquet);
  return csv;
};

const fetchInto = async (
  pool: Pool,
  store: ObjectStore,
  object: CataloguedObject,
  file: string,
  signal: AbortSignal,
): Promise<void> => {
  const outcome = await readObject(store, object, signal);
  if ('fault' in outcome) {
    await noteRead(pool, object.id, { fault: outcome.fault });
    throw new OrgtrailError('verification_failed', `${object.key} in ${store.name}: ${outcome.fault}`);
  }
  await writeFile(file, outcome.bytes);
};
