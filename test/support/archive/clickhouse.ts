import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

/** Where scripts/install/clickhouse.sh puts it; it is too large for a development dependency. */
const folder = process.env['TEST_CHDB'] ?? '/usr/local/lib/orgtrail-chdb';

export const hasClickHouse = existsSync(`${folder}/node_modules/chdb`);

const program = `const { query } = require('${folder}/node_modules/chdb');
process.stdout.write(JSON.stringify(JSON.parse(process.argv[1]).map((sql) => {
  try { return JSON.parse(query(sql, 'JSON')); } catch (error) { return { error: String(error.message) }; }
})));`;

export interface ClickHouseAnswer {
  readonly data: readonly Readonly<Record<string, unknown>>[];
  readonly statistics: { readonly rows_read: number; readonly bytes_read: number };
  readonly error?: string;
}

/** Its answers, by a process that may read the files below a directory. 64-bit integers are texts. */
export const askClickHouse = async (
  directory: string,
  ...statements: readonly string[]
): Promise<readonly ClickHouseAnswer[]> => {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program, JSON.stringify(statements)], {
    cwd: directory,
    maxBuffer: 1_073_741_824,
  });
  return JSON.parse(stdout);
};
