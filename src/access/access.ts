/** What a token may open. */
export const scopes = ['feed', 'search', 'metrics'] as const;
export type Scope = (typeof scopes)[number];

/** Reads `feed,search`; undefined if one of them is no scope, or there is none. */
export const parseScopes = (text: string): readonly Scope[] | undefined => {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  const known = scopes.filter((scope) => names.includes(scope));
  return known.length > 0 && names.every((name) => known.some((scope) => scope === name)) ? known : undefined;
};

export type AccessKind =
  | 'sign-in'
  | 'sign-out'
  | 'refusal'
  | 'search'
  | 'export'
  | 'event'
  | 'feed'
  | 'access-log'
  // In the console, or by a command.
  | 'saved-search'
  | 'mute'
  | 'replay'
  // By a command.
  | 'evidence'
  | 'hold'
  | 'token';

/** A row of the trail of access, as `access_log` keeps it and the log says it. */
export interface AccessNote {
  readonly kind: AccessKind;
  /** `begun`: the end is another note. */
  readonly outcome: 'begun' | 'ok' | 'refused' | 'failed' | 'cut off';
  /** The name of a token, or what a command was told; undefined: not known. */
  readonly who?: string | undefined;
  readonly address?: string | undefined;
  readonly route: string;
  readonly status?: number | undefined;
  /** Parameters without secrets. */
  readonly what: Readonly<Record<string, unknown>>;
  readonly events?: number | undefined;
  /** How many requests it stands for; 0 if it has only begun. */
  readonly requests: number;
}

interface Repeated {
  readonly sinceMs: number;
  readonly note: AccessNote;
  requests: number;
  events: number | undefined;
}

/** The same access within this time is one row with a count. */
export const REPEAT_MS = 3_600_000;
/** Beyond so many different ones at a time, those that follow are told apart by neither address nor parameters. */
export const MAX_REPEATED = 2_000;

/**
 * Bounds the trail: an access of its kind is noted at once, and what repeats it within an hour is one note at the end of
 * the hour, with the sums. The sums over all notes are what happened.
 */
export class RepeatedAccess {
  readonly #seen = new Map<string, Repeated>();

  /** What is to be noted now. */
  add(note: AccessNote, nowMs: number): AccessNote | undefined {
    let { key, kept } = this.#find(note);
    if (kept === undefined && this.#seen.size >= MAX_REPEATED) {
      ({ key, kept } = this.#find({ ...note, address: undefined, what: {} }));
    }
    if (kept === undefined) {
      const first = this.#seen.size >= MAX_REPEATED ? { ...note, address: undefined, what: {} } : note;
      this.#seen.set(key, { sinceMs: nowMs, note: first, requests: 0, events: undefined });
      return first;
    }
    kept.requests += note.requests;
    if (note.events !== undefined) kept.events = (kept.events ?? 0) + note.events;
    return undefined;
  }

  /** The sums of what has been kept for an hour, or of everything; they are forgotten. */
  take(nowMs: number): readonly AccessNote[] {
    const due = [...this.#seen].filter(([, { sinceMs }]) => nowMs - sinceMs >= REPEAT_MS);
    for (const [key] of due) this.#seen.delete(key);
    return due
      .filter(([, { requests }]) => requests > 0)
      .map(([, { note, requests, events }]) => ({ ...note, requests, events }));
  }

  #find(note: AccessNote): { key: string; kept: Repeated | undefined } {
    const { kind, outcome, who, address, route, status, what } = note;
    const key = JSON.stringify([kind, outcome, who, address, route, status, what]);
    return { key, kept: this.#seen.get(key) };
  }
}
