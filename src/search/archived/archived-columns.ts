/** The columns of `audit_events` that an archive has of each event, as they are declared there. */
export const archivedColumns = {
  position: 'bigint',
  source_kind: 'text collate "C"',
  source_id: 'text collate "C"',
  organization_id: 'text collate "C"',
  id: 'text collate "C"',
  action_time: 'timestamptz',
  received_at: 'timestamptz',
  action_type: 'text',
  action_result: 'text',
  action_description: 'text',
  actor_id: 'text',
  actor_type: 'text',
  actor_context: 'text',
  actor_email: 'text',
  actor_ip_address: 'text',
  actor_token_id: 'text',
  actor_token_name: 'text',
  raw_cf_ray_id: 'text',
  raw_method: 'text',
  raw_status_code: 'integer',
  raw_uri: 'text',
  raw_user_agent: 'text',
  resource_id: 'text',
  resource_product: 'text',
  resource_type: 'text',
  resource_scope: 'text',
  raw: 'text',
  defects: 'text[]',
  account_id: 'text collate "C"',
  account_name: 'text',
  zone_id: 'text collate "C"',
  zone_name: 'text',
} as const;
export type ArchivedColumn = keyof typeof archivedColumns;

export const archivedColumnNames = Object.keys(archivedColumns) as ArchivedColumn[];

/** `name type, …`, for a list of rows in JSON. */
export const declared = (names: readonly ArchivedColumn[]): string =>
  names.map((name) => `${name} ${archivedColumns[name]}`).join(', ');

export const textOf = (value: unknown): string | null =>
  value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8') : null;

/** Texts that were joined with commas, as the archive has them. */
const defectsOf = (text: string | null): readonly string[] | null =>
  text === null ? null : text.split(',').filter((name) => name !== '');

const times: readonly ArchivedColumn[] = ['action_time', 'received_at'];

/** A value as JSON has it for PostgreSQL to read. */
export const jsonOf = (name: ArchivedColumn, value: unknown): unknown => {
  if (value === null || value === undefined) return null;
  if (times.includes(name)) return instantOf(value as bigint);
  if (name === 'defects') return defectsOf(textOf(value));
  return value instanceof Uint8Array ? textOf(value) : Number(value);
};

/** RFC 3339 with microseconds. */
export const instantOf = (microseconds: bigint): string => {
  const fraction = ((microseconds % 1_000n) + 1_000n) % 1_000n;
  const iso = new Date(Number((microseconds - fraction) / 1_000n)).toISOString();
  return `${iso.slice(0, -1)}${String(fraction).padStart(3, '0')}Z`;
};
