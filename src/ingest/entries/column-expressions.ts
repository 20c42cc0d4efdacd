import { textColumns } from './entry-columns.ts';

/** The columns that follow from an entry alone, and the SQL that reads each from `j`, the entry as jsonb. */
export const columnExpressions: readonly (readonly [column: string, expression: string])[] = [
  ...Object.entries(textColumns).map(([name, path]) => [name, `j #>> '{${path.join(',')}}'`] as const),
  ['raw_cf_ray_id', `coalesce(j #>> '{raw,cf_ray_id}', j #>> '{raw,cf_rayid}')`],
  [
    'raw_status_code',
    `case when j #>> '{raw,status_code}' ~ '^-?[0-9]{1,9}$' then (j #>> '{raw,status_code}')::integer end`,
  ],
];
