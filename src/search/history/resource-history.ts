import type { FoundEvent } from '../found-event.ts';
import type { Search } from '../search.ts';

/**
 * How an event was found to be about the resource: by its id, product and type; by the path of its request; by product and type alone,
 * which other resources share; or it is the event that was asked about, and says nothing of the kind.
 */
type MatchedBy = 'id' | 'uri' | 'type' | 'itself';

/** An event in the history of a resource. */
export interface HistoryEvent extends FoundEvent {
  readonly matchedBy: MatchedBy;
  /** The exact text of `resource.request` and `resource.response`; null if the entry has none, or cannot be read in full. */
  readonly request: string | null;
  readonly response: string | null;
  /** One of the two is left out for its size. */
  readonly stateTooLarge: boolean;
}

export interface ResourceHistory {
  /** The event whose resource it is. */
  readonly subject: FoundEvent;
  /** Newest first. */
  readonly events: readonly HistoryEvent[];
  /** There are older ones, which are not among them. */
  readonly more: boolean;
}

/**
 * What Cloudflare's own history endpoint calls it: `exact` if all events are about this resource, `approximate` if others of its
 * product and type may be among them, `unavailable` if the entry does not say what it is about.
 */
export type HistoryStatus = 'exact' | 'approximate' | 'unavailable';

export const historyStatus = ({ events }: ResourceHistory): HistoryStatus => {
  const matches = new Set(events.map(({ matchedBy }) => matchedBy));
  if (matches.has('type')) return 'approximate';
  return matches.has('itself') || matches.size === 0 ? 'unavailable' : 'exact';
};

/** The search for the whole log that an event is from: what it has collected is what the history of a resource in it may lack. */
export const logOf = ({ accountId, organizationId }: FoundEvent): Search => {
  const all = { defects: false, changed: false };
  if (accountId !== null) return { ...all, account: accountId };
  return organizationId === null ? all : { ...all, organization: organizationId };
};

/** A state of the resource that an entry gives: what the API answered, or else what it was asked for. */
interface ResourceState {
  readonly from: 'request' | 'response';
  readonly text: string;
}

/** An event with what it changed. */
export interface HistoryStep {
  readonly event: HistoryEvent;
  /** Undefined if the entry has neither a request nor a response. */
  readonly state: ResourceState | undefined;
  /** The last earlier state of the same kind that took effect; undefined if none is known. */
  readonly before: ResourceState | undefined;
}

/**
 * The events, newest first, each with the state before it. Only of one resource can states be compared: with `type` there is none
 * before. What failed changed nothing, so the next state is not compared with it.
 */
export const historySteps = ({ events }: ResourceHistory): readonly HistoryStep[] => {
  const last: Partial<Record<ResourceState['from'], ResourceState>> = {};
  return events
    .toReversed()
    .map((event): HistoryStep => {
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

const statesOf = ({ request, response }: HistoryEvent): readonly ResourceState[] => [
  ...(isState(response) ? [{ from: 'response', text: response } as const] : []),
  ...(isState(request) ? [{ from: 'request', text: request } as const] : []),
];

/** `null`, `{}` and `""` say nothing of a resource. */
const isState = (text: string | null): text is string =>
  text !== null && !['null', '{}', '[]', '""'].includes(text.replaceAll(/\s/g, ''));

const hasFailed = ({ actionResult }: FoundEvent): boolean => /^fail/i.test(actionResult ?? '');
