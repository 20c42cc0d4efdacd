/** The classes that events in the format ocsf have. */
export const lakeClasses = [3001, 3004, 6003] as const;
export type LakeClass = (typeof lakeClasses)[number];

/** A column, with its type in the words of DuckDB. JSON is read as it stands there, and written as a text. */
interface OcsfColumn {
  readonly name: string;
  readonly type: string;
}

const NAMED = 'STRUCT(uid VARCHAR, "name" VARCHAR)';
const USER =
  'STRUCT(uid VARCHAR, "name" VARCHAR, email_addr VARCHAR, credential_uid VARCHAR, type_id INTEGER, "type" VARCHAR)';
const PRODUCT = 'STRUCT(vendor_name VARCHAR, "name" VARCHAR, "version" VARCHAR)';
const METADATA = `STRUCT("version" VARCHAR, profiles VARCHAR[], product ${PRODUCT}, log_name VARCHAR, log_provider VARCHAR, uid VARCHAR,
  event_code VARCHAR, correlation_uid VARCHAR, tenant_uid VARCHAR, original_time VARCHAR, logged_time BIGINT, "sequence" BIGINT)`;
const API = `STRUCT(operation VARCHAR, service STRUCT("name" VARCHAR), request STRUCT(uid VARCHAR, "data" JSON),
  response STRUCT(code INTEGER, "data" JSON))`;
const URL = 'STRUCT(url_string VARCHAR, scheme VARCHAR, hostname VARCHAR, "path" VARCHAR, query_string VARCHAR)';

const first: readonly OcsfColumn[] = [
  { name: 'time', type: 'BIGINT' },
  { name: 'class_uid', type: 'INTEGER' },
  { name: 'class_name', type: 'VARCHAR' },
  { name: 'category_uid', type: 'INTEGER' },
  { name: 'category_name', type: 'VARCHAR' },
  { name: 'activity_id', type: 'INTEGER' },
  { name: 'activity_name', type: 'VARCHAR' },
  { name: 'type_uid', type: 'BIGINT' },
  { name: 'type_name', type: 'VARCHAR' },
  { name: 'severity_id', type: 'INTEGER' },
  { name: 'severity', type: 'VARCHAR' },
  { name: 'status_id', type: 'INTEGER' },
  { name: 'status', type: 'VARCHAR' },
  { name: 'status_code', type: 'VARCHAR' },
  { name: 'status_detail', type: 'VARCHAR' },
  { name: 'message', type: 'VARCHAR' },
  { name: 'metadata', type: METADATA },
  { name: 'cloud', type: `STRUCT(provider VARCHAR, account ${NAMED}, org ${NAMED})` },
  { name: 'actor', type: `STRUCT("user" ${USER}, app_name VARCHAR, app_uid VARCHAR)` },
  { name: 'api', type: API },
  { name: 'src_endpoint', type: 'STRUCT(ip VARCHAR, "name" VARCHAR)' },
  { name: 'http_request', type: `STRUCT(uid VARCHAR, http_method VARCHAR, url ${URL}, user_agent VARCHAR)` },
  { name: 'http_response', type: 'STRUCT(code INTEGER)' },
  { name: 'observables', type: 'STRUCT("name" VARCHAR, type_id INTEGER, "type" VARCHAR, "value" VARCHAR)[]' },
];
const last: readonly OcsfColumn[] = [
  { name: 'unmapped', type: 'JSON' },
  { name: 'raw_data', type: 'VARCHAR' },
];

const ofClass: Readonly<Record<LakeClass, readonly OcsfColumn[]>> = {
  3001: [{ name: 'user', type: 'STRUCT(uid VARCHAR, uid_alt VARCHAR, "name" VARCHAR, email_addr VARCHAR)' }],
  3004: [{ name: 'entity', type: 'STRUCT(uid VARCHAR, "name" VARCHAR, type_id INTEGER, "type" VARCHAR)' }],
  6003: [
    { name: 'resources', type: 'STRUCT(uid VARCHAR, "name" VARCHAR, "type" VARCHAR, "namespace" VARCHAR)[]' },
    { name: 'dst_endpoint', type: 'STRUCT(svc_name VARCHAR)' },
  ],
};

/** All attributes that the format ocsf gives events of a class: the same for every object, whatever its events have. */
export const ocsfColumns = (classUid: LakeClass): readonly OcsfColumn[] => [...first, ...ofClass[classUid], ...last];

/** In the SQL of DuckDB, each column as it is written. */
export const writtenColumns = (classUid: LakeClass): readonly string[] =>
  ocsfColumns(classUid).map(({ name, type }) =>
    type.includes('JSON') ? `"${name}"::${type.replaceAll('JSON', 'VARCHAR')} as "${name}"` : `"${name}"`,
  );

/** The class of a line of the format ocsf, which begins with it. */
export const classOfLine = (line: string): LakeClass => {
  const uid = Number(/^\{"class_uid":(\d+),/.exec(line)?.[1]);
  const found = lakeClasses.find((each) => each === uid);
  if (found === undefined) throw new Error(`no class is known of ${line.slice(0, 40)}`);
  return found;
};
