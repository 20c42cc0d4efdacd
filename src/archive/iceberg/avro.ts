import { createHash } from 'node:crypto';
import avro from 'avsc';

const header = avro.Type.forSchema({
  type: 'record',
  name: 'header',
  fields: [
    { name: 'magic', type: { type: 'fixed', name: 'magic', size: 4 } },
    { name: 'meta', type: { type: 'map', values: 'bytes' } },
    { name: 'sync', type: { type: 'fixed', name: 'sync', size: 16 } },
  ],
});
const long = avro.Type.forSchema('long');

/**
 * An Avro file of one block. Not compressed, and with a marker made of its content: the same rows give the same bytes in every process, whatever
 * zlib it has.
 */
export const avroFile = (
  schema: object,
  rows: readonly object[],
  metadata: Readonly<Record<string, string>>,
): Buffer => {
  const type = avro.Type.forSchema(schema as Parameters<typeof avro.Type.forSchema>[0]);
  const data = Buffer.concat(rows.map((row) => type.toBuffer(row)));
  const sync = createHash('sha256').update(data).digest().subarray(0, 16);
  // As given, with attributes that Avro does not know.
  const meta = { 'avro.schema': JSON.stringify(schema), 'avro.codec': 'null', ...metadata };
  const texts = Object.entries(meta).map(([name, text]) => [name, Buffer.from(text)]);
  const start = header.toBuffer({ magic: Buffer.from('Obj\u0001', 'latin1'), meta: Object.fromEntries(texts), sync });
  if (rows.length === 0) return start;
  return Buffer.concat([start, long.toBuffer(rows.length), long.toBuffer(data.length), data, sync]);
};

const field = (id: number, name: string, type: unknown) => ({ name, type, 'field-id': id });
const optional = (id: number, name: string, type: unknown) => ({
  name,
  type: ['null', type],
  default: null,
  'field-id': id,
});
const record = (name: string, fields: readonly object[]) => ({ type: 'record', name, fields });

/** Keys are numbers, so it is an array of pairs. */
const numberedMap = (key: number, value: number, type: string) => ({
  type: 'array',
  logicalType: 'map',
  items: record(`k${key}_v${value}`, [field(key, 'key', 'int'), field(value, 'value', type)]),
});

/** Numbers and names are those of the specification of Iceberg. */
export const manifestEntry = (partition: readonly object[]): object =>
  record('manifest_entry', [
    field(0, 'status', 'int'),
    optional(1, 'snapshot_id', 'long'),
    optional(3, 'sequence_number', 'long'),
    optional(4, 'file_sequence_number', 'long'),
    field(
      2,
      'data_file',
      record('r2', [
        field(134, 'content', 'int'),
        field(100, 'file_path', 'string'),
        field(101, 'file_format', 'string'),
        field(102, 'partition', record('r102', partition)),
        field(103, 'record_count', 'long'),
        field(104, 'file_size_in_bytes', 'long'),
        optional(109, 'value_counts', numberedMap(119, 120, 'long')),
        optional(110, 'null_value_counts', numberedMap(121, 122, 'long')),
        optional(125, 'lower_bounds', numberedMap(126, 127, 'bytes')),
        optional(128, 'upper_bounds', numberedMap(129, 130, 'bytes')),
      ]),
    ),
  ]);

export const monthPartition = [optional(1000, 'action_time_month', 'int')];

export const manifestFile = record('manifest_file', [
  field(500, 'manifest_path', 'string'),
  field(501, 'manifest_length', 'long'),
  field(502, 'partition_spec_id', 'int'),
  field(517, 'content', 'int'),
  field(515, 'sequence_number', 'long'),
  field(516, 'min_sequence_number', 'long'),
  field(503, 'added_snapshot_id', 'long'),
  field(504, 'added_files_count', 'int'),
  field(505, 'existing_files_count', 'int'),
  field(506, 'deleted_files_count', 'int'),
  field(512, 'added_rows_count', 'long'),
  field(513, 'existing_rows_count', 'long'),
  field(514, 'deleted_rows_count', 'long'),
  optional(507, 'partitions', {
    type: 'array',
    items: record('r508', [
      field(509, 'contains_null', 'boolean'),
      optional(518, 'contains_nan', 'boolean'),
      optional(510, 'lower_bound', 'bytes'),
      optional(511, 'upper_bound', 'bytes'),
    ]),
    'element-id': 508,
  }),
]);
