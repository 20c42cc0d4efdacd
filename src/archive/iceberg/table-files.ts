import { createHash } from 'node:crypto';
import { type Bounds, type Field, fieldsOf, type ObjectKind } from '../columns.ts';
import { avroFile, manifestEntry, manifestFile, monthPartition } from './avro.ts';

/** Below the address of the archive. */
export interface TableFile {
  readonly key: string;
  readonly bytes: Buffer;
}

export interface TableFiles {
  /** In the order of writing; the last one is the metadata, which names all others. */
  readonly files: readonly TableFile[];
  readonly entry: SnapshotEntry;
  readonly manifests: readonly ManifestInList[];
}

/** As it stands in the metadata, in this order. */
type SnapshotEntry = Readonly<Record<string, unknown>> & {
  readonly 'snapshot-id': number;
  readonly 'timestamp-ms': number;
};

/** As a manifest list has it, bounds as hexadecimal. */
type ManifestInList = Readonly<Record<string, string | number>> & { readonly month: string };

/** One object, as a snapshot has it. */
export interface TableObject {
  readonly key: string;
  readonly month: string;
  readonly rows: number;
  readonly bytes: number;
  readonly bounds: Bounds | null;
  readonly addedIn: number;
  /** Null: not in this snapshot nor before. */
  readonly removedIn: number | null;
}

export interface Snapshot {
  readonly number: number;
  readonly atMs: number;
  readonly operation: 'append' | 'replace' | 'overwrite';
  readonly base: string;
  /** Of the months that it changes: all that count, and those that leave with it. */
  readonly objects: readonly TableObject[];
  readonly total: {
    readonly objects: number;
    readonly rows: number;
    readonly bytes: number;
    readonly lastPosition: number;
  };
}

export interface WrittenSnapshot {
  readonly number: number;
  readonly base: string;
  readonly entry: SnapshotEntry;
  readonly manifests: readonly ManifestInList[];
}

const folderOf = (kind: ObjectKind, feedId: string): string =>
  `v1/${kind === 'events' ? 'iceberg' : 'iceberg-changes'}/feed=${feedId}`;

export const metadataKeyOf = (kind: ObjectKind, feedId: string, number: number): string =>
  `${folderOf(kind, feedId)}/metadata/v${number}.metadata.json`;

export const hintKeyOf = (kind: ObjectKind, feedId: string): string =>
  `${folderOf(kind, feedId)}/metadata/version-hint.text`;

/**
 * The files of one snapshot: a function of the catalogue alone, so that any number of writers write the same bytes. `before`: what is written, in
 * order. The names and the form are those of the specification of Iceberg, version 2.
 */
export const tableFilesOf = (
  kind: ObjectKind,
  feedId: string,
  snapshot: Snapshot,
  before: readonly WrittenSnapshot[],
): TableFiles => {
  const { number, base } = snapshot;
  const folder = folderOf(kind, feedId);
  const idOf = (of: number): number => Number(BigInt(`0x${hash(`${feedId} ${kind} ${of}`).slice(0, 13)}`));
  const files: TableFile[] = [];
  const add = (name: string, bytes: Buffer): string => {
    const key = `${folder}/metadata/${name}-${hash(bytes).slice(0, 12)}.avro`;
    files.push({ key, bytes });
    return `${base}/${key}`;
  };
  const byMonth = Map.groupBy(snapshot.objects, ({ month }) => month);
  const made = [...byMonth].map(([month, objects]): ManifestInList => {
    const bytes = manifestOf(kind, { number, base, idOf }, objects);
    const path = add(`m-${month}-${number}`, bytes);
    return { month, manifest_path: path, manifest_length: bytes.length, ...countsOf(number, idOf, objects) };
  });
  const last = before.at(-1);
  const kept = (last?.manifests ?? []).filter(({ month }) => !byMonth.has(month));
  const manifests = [...kept, ...made].sort((one, other) => (one.month < other.month ? -1 : 1));
  const parent = last?.entry['snapshot-id'];
  const list = avroFile(
    manifestFile,
    manifests.map((each) => listed(kind, each)),
    {
      'snapshot-id': String(idOf(number)),
      'parent-snapshot-id': String(parent ?? 'null'),
      'sequence-number': String(number),
      'format-version': '2',
    },
  );
  const entry: SnapshotEntry = {
    'snapshot-id': idOf(number),
    ...(parent !== undefined && { 'parent-snapshot-id': parent }),
    'sequence-number': number,
    'timestamp-ms': snapshot.atMs,
    'manifest-list': add(`snap-${number}`, list),
    'schema-id': 0,
    summary: summaryOf(snapshot),
  };
  const metadata = metadataOf(kind, feedId, snapshot, before, entry);
  files.push({
    key: metadataKeyOf(kind, feedId, number),
    bytes: Buffer.from(`${JSON.stringify(metadata, null, 1)}\n`),
  });
  return { files, entry, manifests };
};

const hash = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Numbered {
  readonly number: number;
  readonly base: string;
  idOf(number: number): number;
}

const ADDED = 1;
const EXISTING = 0;
const DELETED = 2;

const statusOf = (number: number, { addedIn, removedIn }: TableObject): number => {
  if (removedIn === number) return DELETED;
  return addedIn === number ? ADDED : EXISTING;
};

const manifestOf = (kind: ObjectKind, { number, base, idOf }: Numbered, objects: readonly TableObject[]): Buffer => {
  const rows = objects.map((object) => {
    const status = statusOf(number, object);
    // Those of a new object are inherited from the list.
    const sequence = status === ADDED ? null : object.addedIn;
    return {
      status,
      snapshot_id: idOf(status === EXISTING ? object.addedIn : number),
      sequence_number: sequence,
      file_sequence_number: sequence,
      data_file: dataFileOf(kind, base, object),
    };
  });
  return avroFile(manifestEntry(isByMonth(kind) ? monthPartition : []), rows, {
    schema: JSON.stringify(schemaOf(kind)),
    'schema-id': '0',
    'partition-spec': JSON.stringify(partitionOf(kind)),
    'partition-spec-id': '0',
    'format-version': '2',
    content: 'data',
  });
};

const dataFileOf = (kind: ObjectKind, base: string, { key, month, rows, bytes, bounds }: TableObject) => {
  const fields = bounds === null ? [] : fieldsOf[kind].filter(({ id }) => bounds[id] !== undefined);
  const pairs = <T>(read: (field: Field) => T | undefined) =>
    bounds === null
      ? null
      : fields.flatMap((field) => {
          const value = read(field);
          return value === undefined ? [] : [{ key: field.id, value }];
        });
  const bytesOf = (field: Field, text: string | undefined) =>
    text === undefined ? undefined : singleValue(field, text);
  return {
    content: 0,
    file_path: `${base}/${key}`,
    file_format: 'PARQUET',
    partition: isByMonth(kind) ? { action_time_month: monthNumber(month) } : {},
    record_count: rows,
    file_size_in_bytes: bytes,
    value_counts: pairs(() => rows),
    null_value_counts: pairs(({ id }) => bounds?.[id]?.nulls),
    lower_bounds: pairs((field) => bytesOf(field, bounds?.[field.id]?.min)),
    upper_bounds: pairs((field) => bytesOf(field, bounds?.[field.id]?.max)),
  };
};

/** Little endian. */
const singleValue = ({ type }: Field, text: string): Buffer => {
  if (type === 'string') return Buffer.from(text);
  if (type === 'int') return int(Number(text));
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(text));
  return bytes;
};

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};

/** Since January 1970. */
const monthNumber = (month: string): number => (Number(month.slice(0, 4)) - 1970) * 12 + Number(month.slice(5)) - 1;

/** Later contents have no time of their action. */
const isByMonth = (kind: ObjectKind): boolean => kind === 'events';

const countsOf = (number: number, idOf: Numbered['idOf'], objects: readonly TableObject[]) => {
  const of = (status: number) => objects.filter((object) => statusOf(number, object) === status);
  const rowsOf = (status: number) => of(status).reduce((sum, { rows }) => sum + rows, 0);
  const living = objects.filter((object) => statusOf(number, object) !== DELETED);
  return {
    sequence_number: number,
    min_sequence_number: Math.min(number, ...living.map(({ addedIn }) => addedIn)),
    added_snapshot_id: idOf(number),
    added_files_count: of(ADDED).length,
    existing_files_count: of(EXISTING).length,
    deleted_files_count: of(DELETED).length,
    added_rows_count: rowsOf(ADDED),
    existing_rows_count: rowsOf(EXISTING),
    deleted_rows_count: rowsOf(DELETED),
  };
};

const listed = (kind: ObjectKind, { month, ...manifest }: ManifestInList) => {
  const bound = int(monthNumber(month));
  const partition = { contains_null: false, contains_nan: false, lower_bound: bound, upper_bound: bound };
  return { ...manifest, partition_spec_id: 0, content: 0, partitions: isByMonth(kind) ? [partition] : [] };
};

const summaryOf = ({ number, operation, objects, total }: Snapshot): Readonly<Record<string, string>> => {
  const sums = (status: number) => {
    const of = objects.filter((object) => statusOf(number, object) === status);
    const sum = (key: 'rows' | 'bytes') => of.reduce((all, object) => all + object[key], 0);
    return { files: of.length, rows: sum('rows'), bytes: sum('bytes') };
  };
  const [added, removed] = [sums(ADDED), sums(DELETED)];
  const texts = {
    'added-data-files': added.files,
    'added-records': added.rows,
    'added-files-size': added.bytes,
    'deleted-data-files': removed.files,
    'deleted-records': removed.rows,
    'removed-files-size': removed.bytes,
    'changed-partition-count': new Set(objects.map(({ month }) => month)).size,
    'total-data-files': total.objects,
    'total-records': total.rows,
    'total-files-size': total.bytes,
    'total-delete-files': 0,
    'total-position-deletes': 0,
    'total-equality-deletes': 0,
    'orgtrail.last-position': total.lastPosition,
  };
  return { operation, ...Object.fromEntries(Object.entries(texts).map(([name, value]) => [name, String(value)])) };
};

const schemaOf = (kind: ObjectKind) => ({
  type: 'struct',
  'schema-id': 0,
  // DuckDB writes every column as one that may be null.
  fields: fieldsOf[kind].map(({ id, name, type }) => ({ id, name, required: false, type })),
});

const partitionOf = (kind: ObjectKind) =>
  isByMonth(kind) ? [{ 'source-id': 8, 'field-id': 1000, name: 'action_time_month', transform: 'month' }] : [];

/** No sort order is named, although every object is sorted by position: ClickHouse 26.7 then answers `order by position` unsorted. */
const metadataOf = (
  kind: ObjectKind,
  feedId: string,
  { number, atMs, base }: Snapshot,
  before: readonly WrittenSnapshot[],
  entry: SnapshotEntry,
) => {
  const snapshots = [...before.map((each) => each.entry), entry];
  return {
    'format-version': 2,
    'table-uuid': uuidOf(`${feedId} ${kind}`),
    location: `${base}/${folderOf(kind, feedId)}`,
    'last-sequence-number': number,
    'last-updated-ms': atMs,
    'last-column-id': fieldsOf[kind].length,
    'current-schema-id': 0,
    schemas: [schemaOf(kind)],
    'default-spec-id': 0,
    'partition-specs': [{ 'spec-id': 0, fields: partitionOf(kind) }],
    'last-partition-id': isByMonth(kind) ? 1000 : 999,
    'default-sort-order-id': 0,
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    properties: propertiesOf(kind, feedId),
    'current-snapshot-id': entry['snapshot-id'],
    refs: { main: { 'snapshot-id': entry['snapshot-id'], type: 'branch' } },
    snapshots,
    'snapshot-log': snapshots.map((each) => ({
      'timestamp-ms': each['timestamp-ms'],
      'snapshot-id': each['snapshot-id'],
    })),
    'metadata-log': before.map((each) => ({
      'timestamp-ms': each.entry['timestamp-ms'],
      'metadata-file': `${each.base}/${metadataKeyOf(kind, feedId, each.number)}`,
    })),
    statistics: [],
    'partition-statistics': [],
  };
};

/** For objects without numbers of columns, and so that no catalogue deletes anything. */
const propertiesOf = (kind: ObjectKind, feedId: string): Readonly<Record<string, string>> => ({
  'schema.name-mapping.default': JSON.stringify(
    fieldsOf[kind].map(({ id, name }) => ({ 'field-id': id, names: [name] })),
  ),
  'gc.enabled': 'false',
  'write.format.default': 'parquet',
  'write.parquet.compression-codec': 'zstd',
  'write.metadata.delete-after-commit.enabled': 'false',
  'history.expire.max-snapshot-age-ms': '9223372036854775807',
  'history.expire.min-snapshots-to-keep': '2147483647',
  comment: 'Audit logs kept by orgtrail, which alone writes this table. Deleting through a catalogue deletes evidence.',
  'orgtrail.feed-id': feedId,
});

const uuidOf = (text: string): string => {
  const digits = hash(text);
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-8${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
};
