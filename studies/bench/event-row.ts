/** An entry as the benchmark of every contender reads it, and the row that comes of it. */
export interface ApiEntry {
  readonly id?: string;
  readonly action?: Record<string, unknown>;
  readonly actor?: Record<string, unknown>;
  readonly raw?: Record<string, unknown>;
  readonly resource?: Record<string, unknown>;
}

const fields = [
  ...(['type', 'result', 'description'] as const).map((name) => ['action', name] as const),
  ...(['id', 'type', 'context', 'email', 'ip_address', 'token_id', 'token_name'] as const).map(
    (name) => ['actor', name] as const,
  ),
  ...(['cf_ray_id', 'method', 'status_code', 'uri', 'user_agent'] as const).map((name) => ['raw', name] as const),
  ...(['id', 'product', 'type', 'scope'] as const).map((name) => ['resource', name] as const),
];

/** Of audit_events, as contenders fill them. */
export const rowColumns: readonly string[] = [
  'source_kind',
  'source_id',
  'organization_id',
  'id',
  'position',
  'action_time',
  ...fields.map((path) => path.join('_')),
  'raw',
];

/** The row of an entry, in the order of `rowColumns`. `text` is what `raw` will hold. */
export const rowOf = (entry: ApiEntry, organizationId: string, position: number, text: string): readonly unknown[] => [
  'organization',
  organizationId,
  organizationId,
  entry.id,
  position,
  entry.action?.['time'],
  ...fields.map(([part, name]) => asText(entry[part]?.[name])),
  text,
];

const asText = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : (value ?? null);
