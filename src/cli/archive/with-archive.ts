import type { ParquetVersion } from '../../archive/parquet/write-parquet.ts';
import { isStorageFault, openObjectStore } from '../../archive/store/object-store.ts';
import type { ObjectStore } from '../../archive/store/ports.ts';
import { loadConfig } from '../../config/config.ts';
import { OrgtrailError, reasonOf } from '../../errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { CliContext } from '../cli-context.ts';
import { type OpenedDatabase, withDatabase } from '../with-database.ts';

/** What such a command has. */
interface OpenedArchive extends OpenedDatabase {
  readonly pool: Pool;
  readonly store: ObjectStore;
  readonly parquetVersion: ParquetVersion;
}

/** Opens the database and the archive that is configured, and closes both. Throws OrgtrailError, also for what the storage refuses. */
export const withArchive = async <T>(context: CliContext, use: (opened: OpenedArchive) => Promise<T>): Promise<T> => {
  // Before the database is opened.
  const { archive } = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
  if (archive === undefined) {
    throw new OrgtrailError('usage', 'ORGTRAIL_ARCHIVE is not set', {
      hint: 'set it to where the archive is, such as s3://bucket/prefix; docs/archive.md',
    });
  }
  const { parquetVersion } = archive;
  const store = openObjectStore(archive.target, archive.s3);
  try {
    return await withDatabase(context, (pool, opened) => use({ ...opened, pool, store, parquetVersion }));
  } catch (error) {
    if (!isStorageFault(error)) throw error;
    throw new OrgtrailError('api_unreachable', `${store.name}: ${reasonOf(error)}`, {
      hint: 'docs/operations/troubleshooting.md says what each reason means; nothing was dropped',
      cause: error,
    });
  } finally {
    await store.close();
  }
};
