import type { Search } from '../search.ts';

/** What has a page of its own across organizations. The names are parts of addresses. */
export const entityKinds = ['actors', 'addresses', 'tokens', 'resources'] as const;
export type EntityKind = (typeof entityKinds)[number];

/** Events without a pause of half an hour between them. */
export interface EntitySession {
  /** RFC 3339. */
  readonly first: string;
  readonly last: string;
  readonly events: number;
  readonly failures: number;
  /** Up to five different ones. */
  readonly addresses: readonly string[];
}

/** Fields whose new values are worth knowing of an entity. */
export const newsFields = [
  'ip',
  'agent',
  'token',
  'actor',
  'organization',
  'account',
  'action',
  'resource_type',
] as const;
export type NewsField = (typeof newsFields)[number];

/** A value that the last seven days have, and the time before them has not. */
export interface EntityNews {
  readonly field: NewsField;
  readonly value: string;
  /** Of an organization or account. */
  readonly name: string | null;
  readonly events: number;
  /** RFC 3339: its first event. */
  readonly first: string;
}

/** What the newest events of an entity show; up to so many are looked at. */
export interface EntityReport {
  /** RFC 3339: of all stored events; null: none has a time, or it could not be looked up in time. */
  readonly firstSeen: string | null;
  readonly lastSeen: string | null;
  /** Events that were looked at, the newest of the time asked for. */
  readonly looked: number;
  /** There are more in that time. */
  readonly isSample: boolean;
  /** The oldest of them. RFC 3339; null without events. */
  readonly lookedSince: string | null;
  /** The newest first, 20 at most. */
  readonly sessions: readonly EntitySession[];
  /** Events by day of the week (0: Monday) and hour, UTC: 7 x 24. */
  readonly hours: readonly (readonly number[])[];
  readonly news: readonly EntityNews[];
  /** What was looked at begins more than a week ago: only then can anything be new. */
  readonly canTellNews: boolean;
}

/** The search for an entity, over all time. */
export const entitySearch = (kind: EntityKind, value: string): Search => {
  const all = { defects: false, changed: false };
  if (kind === 'resources') return { ...all, resource: value };
  const actorKind = kind === 'addresses' ? 'ip' : kind === 'tokens' ? 'token' : value.includes('@') ? 'email' : 'any';
  return { ...all, actor: { kind: actorKind, value } };
};
