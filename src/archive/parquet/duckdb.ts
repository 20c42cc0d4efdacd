import type { DuckDBConnection } from '@duckdb/node-api';
import { OrgtrailError, reasonOf } from '../../errors.ts';

export interface DuckOptions {
  /** What DuckDB takes at most, as far as it counts that; what does not fit goes to `directory`. */
  readonly memoryMb: number;
  readonly directory: string;
  /** Settings that others do not have. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * An in-memory DuckDB for one piece of work. It is an optional package, and large: loaded only here. Throws OrgtrailError `configuration` if
 * it is not installed.
 */
export const withDuck = async <T>(
  { memoryMb, directory, settings }: DuckOptions,
  use: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> => {
  const { DuckDBInstance } = await loadDuck();
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: `${memoryMb}MB`,
    temp_directory: directory,
    // What it does not use any more goes back to the system: by default it keeps tens of megabytes.
    allocator_flush_threshold: '8MB',
    allocator_bulk_deallocation_flush_threshold: '16MB',
    // Nothing is loaded from elsewhere.
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    ...settings,
  });
  try {
    const connection = await instance.connect();
    try {
      await connection.run('set write_buffer_row_group_count = 1');
      return await use(connection);
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
};

/** Also asked at start, so that what is missing is said before there is work. `asker` is what needs it. */
export const loadDuck = async (asker = 'the archive'): Promise<typeof import('@duckdb/node-api')> => {
  try {
    return await import('@duckdb/node-api');
  } catch (error) {
    throw new OrgtrailError('configuration', `${asker} needs DuckDB, which is not installed here: ${reasonOf(error)}`, {
      hint: 'install the package @duckdb/node-api beside orgtrail; docs/archive.md says how',
      cause: error,
    });
  }
};

/** A text in SQL. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
