import type { ActorKind } from '../domain/search.ts';
import type { SearchCursor } from '../domain/search-cursor.ts';

/** A search with its times made out: RFC 3339. What is undefined does not matter. */
export interface EventQuery {
  /** Inclusive. */
  readonly since: string | undefined;
  /** Exclusive. */
  readonly before: string | undefined;
  readonly organization?: string | undefined;
  readonly actor?: { readonly kind: ActorKind; readonly value: string } | undefined;
  readonly action?: string | undefined;
  readonly result?: string | undefined;
  readonly product?: string | undefined;
  readonly resourceType?: string | undefined;
  readonly resource?: string | undefined;
  readonly ray?: string | undefined;
  readonly text?: string | undefined;
  readonly defects: boolean;
  readonly changed: boolean;
  /** Only events up to here: what an export sees, however long it takes. */
  readonly untilPosition?: number | undefined;
}

/** A part of the time, for a statement that looks through no more than that: RFC 3339, low inclusive, high exclusive. */
export interface TimeSlice {
  readonly low: string | undefined;
  readonly high: string | undefined;
}

/** Conditions on `audit_events`, and the values of their parameters from $1 on. All input goes into values. */
export interface Conditions {
  readonly sql: string;
  readonly values: readonly unknown[];
}

const plainColumns = {
  organization: 'organization_id',
  action: 'action_type',
  result: 'action_result',
  product: 'resource_product',
  resourceType: 'resource_type',
  resource: 'resource_id',
  ray: 'raw_cf_ray_id',
} as const satisfies Partial<Record<keyof EventQuery, string>>;

const actorColumns: Record<ActorKind, readonly string[]> = {
  email: ['actor_email'],
  ip: ['actor_ip_address'],
  id: ['actor_id'],
  token: ['actor_token_id'],
  any: ['actor_id', 'actor_token_id'],
};

export const conditionsOf = (query: EventQuery, cursor: SearchCursor | undefined, slice: TimeSlice): Conditions => {
  const values: unknown[] = [];
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  const parts: string[] = [];
  const { since, before, actor, text, untilPosition } = query;
  for (const low of [since, slice.low]) {
    if (low !== undefined) parts.push(`action_time >= ${parameter(low)}::timestamptz`);
  }
  for (const high of [before, slice.high]) {
    if (high !== undefined) parts.push(`action_time < ${parameter(high)}::timestamptz`);
  }
  if (cursor !== undefined) {
    const sign = cursor.direction === 'older' ? '<' : '>';
    const time = parameter(cursor.time);
    // The first says to which partitions the second is limited: a comparison of rows alone leaves all of them in.
    parts.push(`action_time ${sign}= ${time}::timestamptz`);
    parts.push(`(action_time, position) ${sign} (${time}::timestamptz, ${parameter(cursor.position)}::bigint)`);
  }
  for (const [name, column] of Object.entries(plainColumns)) {
    const value = query[name as keyof typeof plainColumns];
    if (value !== undefined) parts.push(`${column} = ${parameter(value)}`);
  }
  if (actor !== undefined) {
    const value = parameter(actor.value);
    parts.push(`(${actorColumns[actor.kind].map((column) => `${column} = ${value}`).join(' or ')})`);
  }
  if (text !== undefined) parts.push(`raw::text ilike ${parameter(`%${text.replace(/[\\%_]/g, '\\$&')}%`)}`);
  if (query.defects) parts.push('defects is not null');
  if (query.changed) parts.push('position in (select c.position from audit_event_changes c)');
  if (untilPosition !== undefined) parts.push(`position <= ${parameter(untilPosition)}::bigint`);
  return { sql: parts.length === 0 ? 'true' : parts.join(' and '), values };
};
