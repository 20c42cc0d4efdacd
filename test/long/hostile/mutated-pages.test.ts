import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyEntries } from '../../support/hostile/entries.ts';
import { anyMutation } from '../../support/hostile/mutations.ts';
import { anyEnvelope, pageBody } from '../../support/hostile/page-body.ts';
import { requireProperty, SEED } from '../../support/hostile/property.ts';
import { resultElements } from '../../support/hostile/result-elements.ts';
import { openHostileWorld } from '../../support/hostile/world.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';

const world = ofAllTests(openHostileWorld);

const anyBody = fc
  .tuple(anyEntries({ minLength: 1, maxLength: 6 }), anyEnvelope, fc.constantFrom(undefined, 'page-1'), anyMutation)
  .map(([entries, envelope, cursor, mutate]) => {
    const texts = entries(0).map(({ json }) => json.text);
    return mutate(pageBody(texts, cursor, envelope));
  });
let made = 0;

describe(`mutated pages (seed ${SEED})`, () => {
  test('invariants 4 and 9: all elements are stored to the byte, or the walk fails, with nothing stored; a count that differs claims nothing', async () => {
    const property = fc.asyncProperty(anyBody, async (body) => {
      const id = await nextSource();
      world.serve(id, [body]);
      const expected = expectedOf(body);
      const result = await world.sync(id);
      const read = result.kind === 'idle' || result.kind === 'narrowed';
      if (expected !== 'either') expect(read, 'is it taken for a page?').toBe(expected !== 'refused');
      if (read) {
        const elements = resultElements(new TextDecoder().decode(body)) ?? [];
        await requireStored(id, elements);
        const differs = (countedIn(body) ?? elements.length) !== elements.length;
        const { claimed } = await stateOf(id);
        // Times outside of the window, and errors beside a success, leave their time unclaimed as well.
        if (differs) expect(claimed, 'a count that is not that of the elements').toBe(false);
        if (claimed) totals.claimed += 1;
        totals.read += 1;
        totals.elements += elements.length;
        if (differs) totals.miscounted += 1;
      } else {
        expect(result).toMatchObject({ kind: 'failed', lasting: false });
        const nothing = { events: [], changes: [], claimed: false, pages: 0, failures: 1, last_failure: 'unreadable' };
        expect(await stateOf(id)).toEqual(nothing);
        expect(world.requests(id), 'a body that cannot be read is asked for again').toBe(2);
        totals.refused += 1;
      }
    });
    await requireProperty(property, BODIES);
    expect(totals.read).toBeGreaterThan(BODIES / 10);
    expect(totals.refused).toBeGreaterThan(BODIES / 10);
    expect(totals.miscounted).toBeGreaterThan(0);
    expect(totals.claimed).toBeGreaterThan(0);
  }, 3_600_000);
});

/** More by `HOSTILE_BODIES=100000 npx vitest run hostile`. */
const BODIES = Number(process.env['HOSTILE_BODIES'] ?? 1_200);
const SOURCES_AT_ONCE = 500;

/** What the page says of how many elements there are; undefined where it says nothing that could be compared. */
const countedIn = (body: Buffer): number | undefined => {
  const { json } = parsed(body) ?? {};
  const info = isObject(json) ? json['result_info'] : undefined;
  const count = isObject(info) ? info['count'] : undefined;
  return typeof count === 'number' || (typeof count === 'string' && /^\d+$/.test(count)) ? Number(count) : undefined;
};

const totals = { claimed: 0, read: 0, elements: 0, refused: 0, miscounted: 0 };

const nextSource = async (): Promise<string> => {
  const number = made;
  made += 1;
  if (number % SOURCES_AT_ONCE === 0) {
    await world.addSources(Array.from({ length: SOURCES_AT_ONCE }, (_, index) => `mutated ${number + index}`));
  }
  return `mutated ${number}`;
};

/** What JSON.parse makes of the body: undefined if it is not JSON. */
const parsed = (body: Buffer): { text: string; json: unknown } | undefined => {
  const text = new TextDecoder().decode(body);
  try {
    return { text, json: JSON.parse(text) };
  } catch {
    return undefined;
  }
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The elements that must be stored; undefined where the body must be refused, `either` where that is for orgtrail to say. */
const expectedOf = (body: Buffer): readonly string[] | 'refused' | 'either' => {
  const read = parsed(body);
  if (read === undefined || !isObject(read.json)) return 'refused';
  const { success, errors, error, result, result_info: info } = read.json;
  if (success === false || (result !== undefined && result !== null && !Array.isArray(result))) return 'refused';
  const cursor = isObject(info) ? info['cursor'] : undefined;
  const usual = isObject(info) && typeof cursor === 'string' && typeof info['count'] === 'string';
  if (typeof cursor === 'string' && (cursor.includes('\0') || !cursor.isWellFormed())) return 'refused';
  const elements = resultElements(read.text);
  // Not an empty page: it says that there are some, or does not say that there are none.
  if (elements === undefined && !(isObject(info) && String(info['count']) === '0')) return 'refused';
  if (elements === undefined || !usual || success !== true || errors != null || error != null) return 'either';
  return elements;
};

const stateOf = async (id: string) => {
  const { rows } = await world.database.pool.query<{
    events: { id: string; raw: string }[] | null;
    changes: string[] | null;
    claimed: boolean;
    pages: number;
    failures: number;
    last_failure: string | null;
  }>(
    `select (select json_agg(json_build_object('id', e.id, 'raw', case
         when defects && array['nested_too_deeply', 'refused_by_database'] then raw #>> '{}' else raw::text end))
         from audit_events e where source_id = $1) as events,
       (select json_agg(raw::text) from audit_event_changes where source_id = $1) as changes,
       exists (select from coverage where source_id = $1 and not isempty(ranges)) as claimed,
       coalesce((state #>> '{walk,pages}')::integer, 0) as pages, failures, last_failure
     from lanes where source_id = $1 and lane = 'live'`,
    [id],
  );
  const row = rows[0];
  if (row === undefined) throw new Error(`no source ${id}`);
  // No element that is a string has an id that it could share with another: a string here is a text kept as such.
  const changes = (row.changes ?? []).map((raw): string => (raw.startsWith('"') ? JSON.parse(raw) : raw));
  return { ...row, events: row.events ?? [], changes };
};

const sha256 = (text: string): string => `sha256:${createHash('sha256').update(text, 'utf8').digest('hex')}`;

/** As `jsonb` compares, but for large numbers. By a list of its own: nesting by the thousand ends every recursion. */
const isSameContent = (one: string, other: string): boolean => {
  const open: [unknown, unknown][] = [[JSON.parse(one), JSON.parse(other)]];
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    const [left, right] = pair;
    if (left === right) continue;
    if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
    const keys = Object.keys(left);
    if (Array.isArray(left) !== Array.isArray(right) || keys.length !== Object.keys(right).length) return false;
    const [fieldsOfLeft, fieldsOfRight] = [left, right] as Record<string, unknown>[];
    for (const key of keys) open.push([fieldsOfLeft?.[key], fieldsOfRight?.[key]]);
  }
  return true;
};

const requireStored = async (id: string, elements: readonly string[]): Promise<void> => {
  const { events, changes } = await stateOf(id);
  const kept = new Map(events.map((event) => [event.id, event.raw]));
  const texts = new Set([...kept.values(), ...changes]);
  for (const element of elements) {
    if (texts.has(element)) continue;
    // The same content in other white space, under an id that is known.
    const value: unknown = JSON.parse(element);
    const name = isObject(value) && typeof value['id'] === 'string' ? value['id'] : '';
    const same = kept.get(name) ?? kept.get(sha256(name));
    if (same === undefined || !isSameContent(same, element)) throw new Error(`lost: ${element}`);
  }
  for (const text of texts) if (!elements.includes(text)) throw new Error(`never sent: ${text}`);
};
