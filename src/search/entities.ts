import type { FoundEvent } from './answer.ts';
import type { Search } from './query/search.ts';

/** Each has a page of its own across organizations. The names are parts of addresses. */
export const entityKinds = ['actors', 'addresses', 'tokens', 'resources'] as const;
export type EntityKind = (typeof entityKinds)[number];

/** Events without a pause of half an hour between them. */
interface EntitySession {
  readonly first: string;
  readonly last: string;
  readonly events: number;
  readonly failures: number;
  readonly addresses: readonly string[];
}

export const newsFields = [
  'ip',
  'agent',
  'token',
  'actor',
  'organization',
  'account',
  'action',
  'resource_type',
  'country',
  'network',
] as const;
export type NewsField = (typeof newsFields)[number];

/** A value of the last seven days that the time before them does not have. */
interface EntityNews {
  readonly field: NewsField;
  readonly value: string;
  readonly name: string | null;
  readonly events: number;
  readonly first: string;
}

/** What the newest events of an entity show, up to a limit. Times are RFC 3339. */
export interface EntityReport {
  /** Of all stored events; null: none has a time, or it could not be looked up in time. */
  readonly firstSeen: string | null;
  readonly lastSeen: string | null;
  readonly looked: number;
  /** That time has more. */
  readonly isSample: boolean;
  readonly lookedSince: string | null;
  /** Newest first, 20 at most. */
  readonly sessions: readonly EntitySession[];
  /** Events by day of the week (0: Monday) and hour, UTC: 7 x 24. */
  readonly hours: readonly (readonly number[])[];
  readonly news: readonly EntityNews[];
  /** Only if what was looked at begins more than a week ago can anything be new. */
  readonly canTellNews: boolean;
}

export const entitySearch = (kind: EntityKind, value: string): Search => {
  const all = { defects: false, changed: false };
  if (kind === 'resources') return { ...all, resource: value };
  const actorKind = kind === 'addresses' ? 'ip' : kind === 'tokens' ? 'token' : value.includes('@') ? 'email' : 'any';
  return { ...all, actor: { kind: actorKind, value } };
};

export interface HistoryEvent extends FoundEvent {
  /**
   * How the event was found to be about the resource: by its id, product and type; by the path of its request; by product and type alone, which
   * other resources share; or it is the event that was asked about, and does not say.
   */
  readonly matchedBy: string;
  /** The exact text of `resource.request` and `resource.response`; null if the entry has none, or cannot be read in full. */
  readonly request: string | null;
  readonly response: string | null;
  /** One of the two was left out for its size. */
  readonly stateTooLarge: boolean;
}

export interface ResourceHistory {
  /** The event whose resource it is. */
  readonly subject: FoundEvent;
  readonly events: readonly HistoryEvent[];
  readonly more: boolean;
}

/**
 * In the words of Cloudflare's own history endpoint: `exact` if all events are about this resource, `approximate` if others of its product and
 * type may be among them, `unavailable` if the entry does not say what it is about.
 */
export const historyStatus = ({ events }: ResourceHistory): 'exact' | 'approximate' | 'unavailable' => {
  const matches = new Set(events.map(({ matchedBy }) => matchedBy));
  if (matches.has('type')) return 'approximate';
  return matches.has('itself') || matches.size === 0 ? 'unavailable' : 'exact';
};

/** The whole log that an event is from: the history of its resource may lack what is not collected of it. */
export const logOf = ({ accountId, organizationId }: FoundEvent): Search => {
  const all = { defects: false, changed: false };
  if (accountId !== null) return { ...all, account: accountId };
  return organizationId === null ? all : { ...all, organization: organizationId };
};

/** What the API answered, or else what it was asked for. */
interface ResourceState {
  readonly from: 'request' | 'response';
  readonly text: string;
}

/** What the steps are made of. */
type Stated = Pick<HistoryEvent, 'matchedBy' | 'request' | 'response' | 'actionResult'>;

export interface HistoryStep<Event extends Stated = HistoryEvent> {
  readonly event: Event;
  /** Undefined if the entry has neither a request nor a response. */
  readonly state: ResourceState | undefined;
  /** The last earlier state of the same kind that took effect. */
  readonly before: ResourceState | undefined;
}

/** Newest first. Only states of one resource can be compared, which `type` does not tell. What failed changed nothing: it is no state before. */
export const historySteps = <Event extends Stated>(events: readonly Event[]): readonly HistoryStep<Event>[] => {
  const last: Partial<Record<ResourceState['from'], ResourceState>> = {};
  return events
    .toReversed()
    .map((event): HistoryStep<Event> => {
      const states = statesOf(event);
      const comparable = event.matchedBy === 'id' || event.matchedBy === 'uri';
      // A response has all of the resource and a request what is to change: each is compared with its like.
      const state = states.find(({ from }) => last[from] !== undefined) ?? states[0];
      const before = state && comparable ? last[state.from] : undefined;
      if (!hasFailed(event)) for (const each of states) last[each.from] = each;
      return { event, state, before };
    })
    .toReversed();
};

const statesOf = ({ request, response }: Stated): readonly ResourceState[] => [
  ...(isState(response) ? [{ from: 'response', text: response } as const] : []),
  ...(isState(request) ? [{ from: 'request', text: request } as const] : []),
];

/** They say nothing about a resource. */
const isState = (text: string | null): text is string =>
  text !== null && !['null', '{}', '[]', '""'].includes(text.replaceAll(/\s/g, ''));

const hasFailed = ({ actionResult }: Stated): boolean => /^fail/i.test(actionResult ?? '');
