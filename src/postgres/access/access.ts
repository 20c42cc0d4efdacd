import { createHash } from 'node:crypto';

/** `manage`: orders. A token has it by name alone, and ORGTRAIL_FEED_TOKEN never. */
export const scopes = ['feed', 'search', 'metrics', 'manage'] as const;
export const readingScopes = ['feed', 'search', 'metrics'] as const;
export type Scope = (typeof scopes)[number];

/** Undefined if one of them is no scope, or there is none. */
export const parseScopes = (text: string): readonly Scope[] | undefined => {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  const known = scopes.filter((scope) => names.includes(scope));
  return known.length > 0 && names.every((name) => known.some((scope) => scope === name)) ? known : undefined;
};

export const accessKinds = [
  'sign-in',
  'sign-out',
  'refusal',
  'search',
  'export',
  'event',
  'feed',
  'access-log',
  'saved-search',
  'mute',
  'archive',
  'evidence',
  'hold',
  'replay',
  'token',
] as const;
export type AccessKind = (typeof accessKinds)[number];

export interface AccessNote {
  readonly kind: AccessKind;
  /** `begun`: the end is another note. */
  readonly outcome: 'begun' | 'ok' | 'refused' | 'failed' | 'cut off';
  /** A token, or what a command was told; undefined: not known. */
  readonly who?: string | undefined;
  readonly address?: string | undefined;
  readonly route: string;
  readonly status?: number | undefined;
  /** Parameters without secrets. */
  readonly what: Readonly<Record<string, unknown>>;
  /** If `what` is cut: all of it, for the log alone. */
  readonly whole?: Readonly<Record<string, unknown>>;
  readonly events?: number | undefined;
  /** Requests that it stands for; 0 if it has only begun. */
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
/** Of those who got in. Beyond, the sums of the oldest are noted before its hour is over. */
export const MAX_READERS = 2_000;
/** Of strangers who were refused. Beyond, addresses are left out: strangers may have any number. */
export const MAX_STRANGERS = 500;

export type AccessLimit = 'readers' | 'strangers';

/** Notes the first access of its kind, and its repetitions within an hour as one sum. Strangers take no room from those who got in. */
export class RepeatedAccess {
  readonly #readers = new Map<string, Repeated>();
  readonly #strangers = new Map<string, Repeated>();
  readonly #onLimit: (limit: AccessLimit) => void;

  constructor(onLimit: (limit: AccessLimit) => void = () => {}) {
    this.#onLimit = onLimit;
  }

  add(note: AccessNote, nowMs: number): readonly AccessNote[] {
    const isStranger = note.who === undefined && note.outcome === 'refused';
    const seen = isStranger ? this.#strangers : this.#readers;
    if (count(seen, note)) return [];
    const isFull = seen.size >= (isStranger ? MAX_STRANGERS : MAX_READERS);
    if (isFull) this.#onLimit(isStranger ? 'strangers' : 'readers');
    const first = isFull && isStranger ? { ...note, address: undefined } : note;
    if (first !== note && count(seen, first)) return [];
    const [oldest] = isFull && !isStranger ? seen.keys() : [];
    const before = oldest === undefined ? [] : sumsOf(seen, [oldest]);
    const { whole: _whole, ...kept } = first;
    seen.set(keyOf(first), { sinceMs: nowMs, note: kept, requests: 0, events: undefined });
    return [...before, first];
  }

  /** Sums of at least an hour, or with an infinite `nowMs` everything; they are forgotten. */
  take(nowMs: number): readonly AccessNote[] {
    return [this.#readers, this.#strangers].flatMap((seen) => {
      const due = [...seen].filter(([, { sinceMs }]) => nowMs - sinceMs >= REPEAT_MS);
      return sumsOf(
        seen,
        due.map(([key]) => key),
      );
    });
  }
}

const keyOf = ({ kind, outcome, who, address, route, status, what }: AccessNote): string =>
  JSON.stringify([kind, outcome, who, address, route, status, what]);

const count = (seen: ReadonlyMap<string, Repeated>, note: AccessNote): boolean => {
  const kept = seen.get(keyOf(note));
  if (kept === undefined) return false;
  kept.requests += note.requests;
  if (note.events !== undefined) kept.events = (kept.events ?? 0) + note.events;
  return true;
};

const sumsOf = (seen: Map<string, Repeated>, keys: readonly string[]): readonly AccessNote[] =>
  keys.flatMap((key) => {
    const kept = seen.get(key);
    seen.delete(key);
    return kept === undefined || kept.requests === 0
      ? []
      : [{ ...kept.note, requests: kept.requests, events: kept.events }];
  });

export interface Identity {
  /** Token name or ORGTRAIL_FEED_TOKEN; undefined: open on loopback. */
  readonly who: string | undefined;
  readonly session: boolean;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Lets sessions read access_log and replay sinks, and a token give orders. It opens nothing over HTTP, and the token cannot be derived from it. */
export const tokenProof = (token: string): Buffer => digest(`orgtrail access log ${token}`);

export const sessionProof = (cookie: string): Buffer => digest(`orgtrail access log of session ${cookie}`);

export const keptOfProof = (proof: Buffer): Buffer => createHash('sha256').update(proof).digest();
