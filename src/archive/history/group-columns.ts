import type { GroupColumns } from '../parquet/row-groups.ts';

/** By these a reader finds the events that it was asked for. */
export const filterColumns = ['position', 'organization_id', 'account_id'] as const;
/** All that an event is made of. */
export const eventColumns = [
  ...filterColumns,
  'source_kind',
  'source_id',
  'id',
  'action_time',
  'received_at',
  'defects',
  'account_name',
  'zone_id',
  'zone_name',
  'raw',
] as const;
/** Of one row group; a value for each row. */
export type FilterColumns = GroupColumns<(typeof filterColumns)[number]>;
export type EventColumns = GroupColumns<(typeof eventColumns)[number]>;
