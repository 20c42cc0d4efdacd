import { expect, test } from 'vitest';
import { formatEcs } from '../../../src/formats/ecs/ecs.ts';
import type { FeedEvent } from '../../../src/formats/feed-event.ts';
import { cleanJson } from '../../../src/formats/json-line.ts';
import { formatOcsf } from '../../../src/formats/ocsf/ocsf.ts';
import { sampleEvents } from './sample-events.ts';
import { seed, simulatedEvents } from './simulated-events.ts';

const events = [...sampleEvents, ...simulatedEvents(500)];

/** The scalars inside a value, each as `type:text`, with where it stands. */
const scalars = (value: unknown, path: string): [string, string][] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => scalars(inner, `${path}.${key}`))
    : [[path, `${typeof value}:${value}`]];

const exactText = ({ rawText, defects }: FeedEvent): string =>
  defects?.includes('nested_too_deeply') ? JSON.parse(rawText) : rawText;

// Documented words have a number and a caption of their own in OCSF.
const captioned = new Set(
  ['create', 'view', 'update', 'delete', 'success', 'failure', 'user', 'system'].map((word) => `string:${word}`),
);
const captionedPaths = ['.action.type', '.action.result', '.actor.type'];

test(`OCSF has every value of an entry outside of raw_data (seed ${seed})`, { timeout: 60_000 }, () => {
  for (const event of events) {
    const { raw_data: rawData, ...rest } = JSON.parse(formatOcsf(event));
    expect(rawData).toBe(exactText(event));
    const found = new Set(scalars(rest, '').map(([, scalar]) => scalar));
    const { path, query_string: query } = rest.http_request?.url ?? {};
    found.add(`string:${path}${query === undefined ? '' : `?${query}`}`);
    const missing = scalars(JSON.parse(JSON.stringify(cleanJson(JSON.parse(exactText(event)), false))), '').filter(
      ([at, scalar]) => !found.has(scalar) && !(captionedPaths.includes(at) && captioned.has(scalar)),
    );
    expect(missing, JSON.stringify(event)).toEqual([]);
  }
});

test(`ECS has every value of an entry outside of event.original (seed ${seed})`, { timeout: 60_000 }, () => {
  for (const event of events) {
    const document = JSON.parse(formatEcs(event));
    expect(document.event.original).toBe(exactText(event));
    delete document.event.original;
    const { request, response, scope } = document.cloudflare.audit.resource ?? {};
    const texts = [document.cloudflare.audit.other, request, response, scope].filter((text) => text !== undefined);
    const inside = texts.flatMap((text: string) => scalars(parsed(text), ''));
    const found = new Set([...scalars(document, ''), ...inside].map(([, scalar]) => scalar));
    const missing = scalars(JSON.parse(JSON.stringify(cleanJson(JSON.parse(exactText(event)), false))), '').filter(
      ([, scalar]) => !found.has(scalar) && scalar !== 'object:null',
    );
    expect(missing, JSON.stringify(event)).toEqual([]);
  }
});

/** A text is either JSON or itself the value. */
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};
