import { EvidenceFault, sha256, uint32 } from '../bytes.ts';
import { liesWithin, microsecondsOf, usOf } from '../journal/instants.ts';
import type { EventLeaf } from '../leaf.ts';
import type { StatedCoverage } from './coverage.ts';
import type { Report } from './report.ts';
import type { Statements } from './statements.ts';

/* Chapter 10: days that are drawn, fetched from Cloudflare by the auditor, and compared. */

export interface Unit {
  readonly number: number;
  /** `2026-03-04`, in UTC. */
  readonly day: string;
}

export interface Draw {
  /** Undefined: all. */
  readonly days: number | undefined;
  /** Thought of after the checkpoint was in the auditor's hands. */
  readonly word: string;
  /** Also days that were read once. */
  readonly once: boolean;
}

const US_PER_DAY = 86_400_000_000n;
/** How long Cloudflare keeps entries. */
const KEPT_DAYS = 540;

/** By number, then day. */
export const unitsOf = (coverage: StatedCoverage, { holds }: Statements, once: boolean): Unit[] => {
  const { months } = holds;
  return [...coverage.last]
    .sort(([a], [b]) => a - b)
    .flatMap(([number, { read, again, as_of: asOf }]) => {
      const ranges = usOf(once ? read : again);
      const endUs = microsecondsOf(asOf) ?? 0n;
      const first = -floor(-(endUs - BigInt(KEPT_DAYS) * US_PER_DAY));
      const days = Array.from({ length: KEPT_DAYS }, (_, index) => first + BigInt(index));
      return days
        .filter((day) => (day + 1n) * US_PER_DAY <= endUs)
        .filter((day) => liesWithin([[day * US_PER_DAY, (day + 1n) * US_PER_DAY]], ranges))
        .map((day) => ({ number, day: dayOf(day * US_PER_DAY) }))
        .filter(({ day }) => !months.has(day.slice(0, 7)));
    });
};

const floor = (us: bigint): bigint => us / US_PER_DAY - (us % US_PER_DAY < 0n ? 1n : 0n);
const dayOf = (us: bigint): string => new Date(Number(floor(us) * 86_400_000n)).toISOString().slice(0, 10);

/** `checkpoint`: its three lines. */
export const drawn = (units: readonly Unit[], checkpoint: string, { days = units.length, word }: Draw): Unit[] =>
  days >= units.length
    ? [...units]
    : drawnPlaces(seedOf(checkpoint, word), units.length, days).map((place) => units[place] as Unit);

export const seedOf = (checkpoint: string, word: string): Buffer =>
  sha256(Buffer.from(`orgtrail/sample/v2\n${checkpoint}${word}`));

export const drawnPlaces = (seed: Uint8Array, units: number, count: number): number[] => {
  const places = new Set<number>();
  for (let k = 0; places.size < Math.min(count, units); k += 1)
    places.add(Number(sha256(Buffer.concat([seed, uint32(k)])).readBigUInt64BE() % BigInt(units)));
  return [...places];
};

/** That of `drawn` days one is among `lacking` of `units`. */
export const probability = (units: number, lacking: number, count: number): number => {
  let missed = 1;
  for (let i = 0; i < count; i += 1) missed *= Math.max(0, units - lacking - i) / (units - i);
  return 1 - missed;
};

interface Entry {
  readonly id: string;
  readonly day: string;
  readonly isMidnight: boolean;
  readonly source: string | undefined;
  readonly content: string;
}

interface Compared {
  /** All of the day was fetched, so that what is only here is wrong. */
  isWhole: boolean;
  readonly served: Map<string, Set<string>>;
  /** Empty: the content is not here. */
  readonly stored: Map<string, Set<string>>;
}

/** What Cloudflare answered. */
export interface Fetched {
  readonly entries: readonly Entry[];
  /** Without an id or a time: they cannot be compared. */
  readonly skipped: number;
}

/** What Cloudflare served, against the leaves. */
export class Sample {
  readonly #report: Report;
  readonly #files: readonly Fetched[];
  readonly #units = new Map<string, Compared>();
  #all: readonly Unit[] = [];
  #words: string | undefined;

  constructor(report: Report, files: readonly Fetched[]) {
    this.#report = report;
    this.#files = files;
    for (const { skipped } of files)
      if (skipped > 0) report.say(`${skipped} entries without id or time are not compared`);
  }

  /** Before the leaves. */
  open(statements: Statements, coverage: StatedCoverage, checkpoint: string, draw: Draw | undefined): void {
    this.#all = unitsOf(coverage, statements, draw?.once === true);
    for (const { number, day } of draw === undefined ? [] : drawn(this.#all, checkpoint, draw))
      this.#unit(number, day).isWhole = true;
    if (draw !== undefined) {
      const word =
        draw.word === ''
          ? 'without a word: the operator could have tried checkpoints until the draw suits'
          : `by the word ${JSON.stringify(draw.word)}`;
      this.#words = `${this.#units.size} of ${this.#all.length} days were drawn ${word}`;
    }
    for (const { entries } of this.#files) this.#serve(entries, statements, draw === undefined);
  }

  #serve(entries: readonly Entry[], statements: Statements, opensUnits: boolean): void {
    const numbers = entries.map(({ source }) => numberOf(statements, source));
    const known = [...new Set(numbers.filter((number) => number !== undefined))];
    const only = known.length === 1 ? known[0] : onlyOf(statements);
    const all = entries.map((entry, at) => ({ ...entry, number: numbers[at] ?? only }));
    // Whether the end of a window is within it is nowhere defined: an entry at midnight does not say that its day was fetched.
    for (const { number, day, isMidnight } of opensUnits ? all : [])
      if (number !== undefined && !statements.holds.months.has(day.slice(0, 7)))
        this.#unit(number, day).isWhole ||= !isMidnight;
    for (const { number, id, day, isMidnight, content } of all) {
      const unit = this.#units.get(`${number} ${day}`);
      if (unit !== undefined) add(unit.served, id, content);
      else if (number === undefined) this.#report.fault('sample', `entry ${id} of ${day} is of no source here`);
      else if (statements.holds.months.has(day.slice(0, 7)))
        this.#report.say(`${day}: the month was dropped, and is not compared`);
      else if (!isMidnight) this.#report.say(`${day} was not drawn, and is not compared`);
    }
  }

  take(number: number, leaf: EventLeaf, contents: readonly Uint8Array[]): void {
    if (leaf.actionTimeUs === undefined) return;
    const unit = this.#units.get(`${number} ${dayOf(leaf.actionTimeUs)}`);
    if (unit === undefined) return;
    add(unit.stored, leaf.id);
    for (const raw of contents) add(unit.stored, leaf.id, contentOf(raw));
  }

  end(statements: Statements): void {
    let [compared, faults] = [0, 0];
    for (const [key, { isWhole, served, stored }] of this.#units) {
      const [number, day] = key.split(' ');
      const source = statements.sources.get(Number(number));
      const fault = (what: string, id: string) => {
        faults += 1;
        this.#report.fault('sample', `${source?.kind} ${source?.id}, ${day}: ${what}: ${id}`);
      };
      for (const [id, contents] of served) {
        compared += 1;
        const here = stored.get(id);
        if (here === undefined) fault('only at Cloudflare, missing here', id);
        else if (here.size > 0 && [...contents].some((content) => !here.has(content))) fault('other content', id);
      }
      for (const id of isWhole ? stored.keys() : [])
        if (!served.has(id)) fault('only here: Cloudflare has deleted it, or it was invented', id);
    }
    if (this.#words !== undefined) this.#report.claim('sample', this.#words);
    const found = [1, 10].map(
      (lacking) => `${lacking}: ${percent(probability(this.#all.length, lacking, this.#units.size))}`,
    );
    this.#report.claim(
      'sample',
      `${compared} entries of ${this.#units.size} days compared, ${faults} differ; if so many days of ${this.#all.length} lack something, such a draw finds it with ${found.join(', ')}`,
    );
  }

  #unit(number: number, day: string): Compared {
    const key = `${number} ${day}`;
    const known = this.#units.get(key);
    if (known !== undefined) return known;
    const made: Compared = { isWhole: false, served: new Map(), stored: new Map() };
    this.#units.set(key, made);
    return made;
  }
}

export const percent = (p: number): string => `${(100 * p).toFixed(1)} %`;

const add = (ids: Map<string, Set<string>>, id: string, content?: string): void => {
  const contents = ids.get(id) ?? new Set();
  ids.set(id, contents);
  if (content !== undefined) contents.add(content);
};

const numberOf = (statements: Statements, source: string | undefined): number | undefined => {
  const [kind = '', id = ''] = source?.split(' ') ?? [];
  return statements.numberOf(kind, id);
};

const onlyOf = ({ sources }: Statements): number | undefined =>
  sources.size === 1 ? [...sources.keys()][0] : undefined;

/** Of JSON documents behind each other: answers of the API, or entries. Throws an EvidenceFault for what is not all of an answer. */
export const readFetched = (text: string): Fetched => {
  const listed: unknown[] = [];
  let isOpen = false;
  for (const document of documentsOf(text)) {
    if (!isObject(document) || !('success' in document || 'result' in document)) {
      listed.push(...(Array.isArray(document) ? document : [document]));
      continue;
    }
    const { success, errors, result, result_info: info } = document;
    if (success !== true || (Array.isArray(errors) && errors.length > 0))
      throw new EvidenceFault('has an answer that is no success');
    if (!Array.isArray(result)) throw new EvidenceFault('has an answer without entries');
    const cursor = isObject(info) ? info['cursor'] : undefined;
    isOpen = typeof cursor === 'string' && cursor !== '';
    listed.push(...result);
  }
  if (isOpen) throw new EvidenceFault('ends with an answer that has a next page');
  const entries = listed.flatMap((entry) => entryOf(entry) ?? []);
  return { entries, skipped: listed.length - entries.length };
};

const entryOf = (entry: unknown): Entry | undefined => {
  if (!isObject(entry)) throw new EvidenceFault('has an entry that is no object');
  const { id, action, organization, account } = entry;
  const time = isObject(action) && typeof action['time'] === 'string' ? Date.parse(action['time']) : Number.NaN;
  if (typeof id !== 'string' || Number.isNaN(time)) return undefined;
  const [source] = Object.entries({ organization, account }).flatMap(([kind, of]) =>
    isObject(of) && typeof of['id'] === 'string' ? [`${kind} ${of['id']}`] : [],
  );
  const at = new Date(time).toISOString();
  const isMidnight = at.endsWith('T00:00:00.000Z');
  return { id, day: at.slice(0, 10), isMidnight, source, content: canonical(entry) };
};

const contentOf = (raw: Uint8Array): string => {
  try {
    return canonical(JSON.parse(Buffer.from(raw).toString()));
  } catch {
    return Buffer.from(raw).toString();
  }
};

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Splits at the ends of the outermost brackets. */
function* documentsOf(text: string): Generator<unknown> {
  let [depth, start] = [0, 0];
  for (const { 0: part, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]]/gs)) {
    if (part === '{' || part === '[') depth += 1;
    else if (part === '}' || part === ']') depth -= 1;
    else continue;
    if (depth > 0) continue;
    yield parsed(text.slice(start, index + 1));
    start = index + 1;
  }
  if (text.slice(start).trim() !== '') throw new EvidenceFault('is cut off, or no JSON');
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new EvidenceFault('is no JSON');
  }
};
