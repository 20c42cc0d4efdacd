import fc from 'fast-check';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { storedEvents } from './simulated-events.ts';

const organizationId = '019c4f65e7607d8c9f6f6b58aa3aff50';

// biome-ignore format: a list
const pieces = [
  'a', 'é', '😀', ' ', '  ', '|', '=', '\\', '\\n', '"', '\n', '\r', '\t', '\0', '\u000b', '\u001b[0m', '\u007f', '\u0085', '\u2028',
  '\ud83d', '\ude00', ' suser=root', '\tusrName=root', '\nCEF:0|', ' cn1=9', 'create', 'member', 'user', '203.0.113.7', '::1',
];
const text = fc.oneof(
  fc.array(fc.constantFrom(...pieces), { maxLength: 6 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('x'.repeat(2_000), `${'y'.repeat(1_021)}😀y`, `${'z'.repeat(253)}😀z`),
);
const value = fc.oneof(
  { weight: 4, arbitrary: text },
  { weight: 1, arbitrary: fc.jsonValue({ stringUnit: 'binary' }) },
);
const part = (...keys: string[]) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.record(Object.fromEntries(keys.map((key) => [key, value])), { requiredKeys: [] }) },
    { weight: 1, arbitrary: fc.jsonValue() },
  );
const entry = fc.record(
  {
    id: value,
    action: part('description', 'result', 'time', 'type'),
    actor: part('id', 'context', 'email', 'ip_address', 'token_id', 'token_name', 'type', '__proto__'),
    organization: part('id'),
    raw: part('cf_ray_id', 'cf_rayid', 'method', 'status_code', 'uri', 'user_agent'),
    resource: part('id', 'product', 'request', 'response', 'scope', 'type'),
    __proto__: value,
  },
  { requiredKeys: [] },
);
const entryText = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(entry, fc.constantFrom(0, 1)).map(([one, space]) => JSON.stringify(one, undefined, space)),
  },
  { weight: 1, arbitrary: fc.json() },
);

/** Any JSON text as an entry, mostly one that attacks a format, as stored. */
export const anyEvent: fc.Arbitrary<FeedEvent> = entryText.map(
  (one) => storedEvents([one], organizationId)[0] as FeedEvent,
);
export const anyEventRuns = { seed: 7, numRuns: 300 };
