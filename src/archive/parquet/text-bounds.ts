import type { FileMetaData } from 'hyparquet';
import type { GroupPlace } from './row-groups.ts';

/** False only if the statistics of a column of texts say that no row of the group has exactly this value. They may be cut at their ends. */
export const mayHaveValue = (
  { row_groups: groups }: FileMetaData,
  { index }: Pick<GroupPlace, 'index'>,
  column: string,
  value: string,
): boolean => {
  const found = groups[index]?.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === column)?.meta_data;
  const { min_value: min, max_value: max } = found?.statistics ?? {};
  if (!(min instanceof Uint8Array) || !(max instanceof Uint8Array)) return true;
  const bytes = Buffer.from(value);
  // A maximum that was cut may be lower than what it stands for.
  return Buffer.compare(bytes, min) >= 0 && Buffer.compare(bytes.subarray(0, max.length), max) <= 0;
};
