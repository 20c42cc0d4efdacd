import { isIP } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ipVersion } from '../../../src/base/addresses.ts';
import { formatEcs } from '../../../src/formats/ecs.ts';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { eventInstant } from '../../../src/formats/format.ts';
import { formatOcsf } from '../../../src/formats/ocsf.ts';
import { type FormatName, formats } from '../../../src/formats/registry.ts';
import { cleanJson, readUri } from '../../../src/formats/text.ts';
import { ocsfSchema } from '../../support/formats/schema-facts.ts';
import { forAll } from '../for-all.ts';
import { sampleEvents } from './sample-events.ts';
import { seed, simulatedEvents, simulatedUserEvents, storedEvents } from './simulated-events.ts';

const resource = { id: 'r', product: 'p' };
test.each([
  ['member', 'create', 300101],
  ['members', 'delete', 300106],
  ['User', 'UPDATE', 300199],
  ['member', 'view', 600302],
  ['api_token', 'create', 300401],
  ['Access Policies', 'update', 300403],
  ['organization', 'delete', 300404],
  ['account', 'view', 300402],
  ['account', 'login', 300201],
  ['', 'Login', 300201],
  ['dns_record', 'update', 600303],
  ['constructor', 'create', 600301],
  ['dns_record', '', 600300],
  ['toString', '__proto__', 600399],
])('which OCSF class an entry is %s, %s: %i', (type, action, typeUid) =>
  expect(written('ocsf', { id: 'a', action: { type: action }, resource: { ...resource, type } }).type_uid).toBe(
    typeUid,
  ),
);

test('which OCSF class an entry is a change of a member without a name is an API Activity', () =>
  expect(written('ocsf', { action: { type: 'create' }, resource: { type: 'member' } }).type_uid).toBe(600301));

test('a token is the application, a person the user, and Cloudflare staff neither user nor admin of the customer', () => {
  const actor = (one: object) => written('ocsf', { actor: one }).actor;
  expect(actor({ context: 'api_token', token_id: 't', token_name: 'ci' })).toEqual({ app_name: 'ci', app_uid: 't' });
  expect(actor({ id: 'u', email: 'lucía@example.com', context: 'dash', type: 'user' })).toEqual({
    user: { uid: 'u', name: 'lucía@example.com', type_id: 1, type: 'User' },
    app_name: 'dash',
  });
  expect(actor({ id: 's', type: 'cloudflare_admin' }).user).toEqual({
    uid: 's',
    type_id: 99,
    type: 'cloudflare_admin',
  });
  expect(actor({ id: 'y', type: 'system' }).user).toEqual({ uid: 'y', type_id: 3, type: 'System' });
  expect(actor({})).toEqual({ app_name: 'Unknown' });
});

// The scales of OCSF, ECS, CEF and LEEF.
const grades = {
  informational: [1, 1, '1', '1'],
  low: [2, 3, '3', '3'],
  medium: [3, 5, '5', '5'],
  high: [4, 8, '8', '8'],
};
const superAdministrator = { roles: [{ name: 'Super Administrator' }] };
test.each<[keyof typeof grades, string, string, Record<string, unknown>?]>([
  ['informational', 'dns_record', 'view'],
  ['informational', 'session', 'login'],
  ['informational', 'sso_connector', 'view'],
  ['low', 'dns_record', 'update'],
  ['low', 'account', 'update'],
  ['low', 'dns_record', 'rotate'],
  ['medium', 'dns_record', 'delete'],
  ['medium', 'session', 'login', { result: 'failure' }],
  ['medium', 'api_token', 'create'],
  ['medium', 'member', 'update', { request: { roles: ['Billing'] } }],
  ['medium', 'dns_record', 'view', { actor: 'Cloudflare_admin' }],
  ['high', 'member', 'create', { request: superAdministrator }],
  ['high', 'member', 'update', { request: { policies: [{ permission_groups: superAdministrator.roles }] } }],
  ['high', 'sso_connector', 'delete', { actor: 'cloudflare_admin' }],
  ['high', 'Identity Providers', 'update'],
])('it is graded %s: %s, %s, %o', (grade, type, action, more = {}) => {
  const one = event({
    action: { type: action, result: more['result'] ?? 'success' },
    actor: { type: more['actor'] ?? 'user' },
    resource: { id: 'r', type, request: more['request'] },
  });
  expect([
    JSON.parse(formats.ocsf.format(one)).severity_id,
    JSON.parse(formats.ecs.format(one)).event.severity,
    formats.cef.format(one).split('|')[6],
    /\tsev=(\d+)/.exec(formats.leef.format(one))?.[1],
  ]).toEqual(grades[grade]);
});

const [named, byId] = [{ id: 'a', name: 'Billing' }, { id: 'b' }];
test.each<[object, object, readonly string[] | undefined]>([
  [{ roles: ['Billing', 'DNS', 'DNS'] }, {}, ['Billing', 'DNS']],
  [{ roles: [named, byId] }, { roles: [{ id: 'b', name: 'DNS' }] }, ['Billing', 'DNS']],
  [{ roles: ['a'] }, { roles: [named] }, ['Billing']],
  [{ policies: [{ permission_groups: [byId] }, { permission_groups: 7 }] }, {}, ['b']],
  [{ roles: [] }, { roles: [named] }, []],
  [{ roles: [7, null] }, {}, undefined],
  [{ status: 'accepted' }, { roles: [named] }, undefined],
])('a member asked for with %j, answered %j, has roles %j', (request, result, roles) => {
  const entry = { action: { type: 'update' }, resource: { id: 'm', type: 'member', request, response: { result } } };
  const [ocsf, ecs] = [written('ocsf', entry), written('ecs', entry)];
  const activity = roles === undefined ? 300199 : roles.length > 0 ? 300501 : 300502;
  expect([ocsf.type_uid, ocsf.privileges, ecs.user.target.roles]).toEqual([activity, roles, roles]);
  expect(ecs.event.type).toEqual(roles === undefined ? ['user', 'change'] : ['user', 'group', 'change']);
});

test('a column of Logpush that is an object is one whatever the entry has', () => {
  const columns = (part: unknown) => {
    const { ResourceRequest, ResourceResponse } = written('logpush', { resource: { request: part, response: part } });
    expect(ResourceRequest).toEqual(ResourceResponse);
    return ResourceRequest;
  };
  expect(columns({ a: 1 })).toEqual({ a: 1 });
  expect([columns(null), columns(undefined)]).toEqual([{}, {}]);
  expect([columns([1]), columns('OK'), columns(false)]).toEqual([{ value: [1] }, { value: 'OK' }, { value: false }]);
});

test('a time that is unknown is the time of receipt where a format needs one', () => {
  const one = event({ id: 'x' });
  expect([one.actionTime, written('native', { id: 'x' }).action_time]).toEqual([null, null]);
  expect(written('ocsf', { id: 'x' }).time).toBe(Date.parse('2026-10-01T00:00:30.123Z'));
  expect(written('ecs', { id: 'x' })['@timestamp']).toBe(one.receivedAt);
  expect(written('logpush', { id: 'x' }).ActionTimestamp).toBe(one.receivedAt);
  expect(formats.cef.format(one)).not.toContain(' start=');
  expect(formats.leef.format(one)).toContain('\tdevTimeFormat=yyyy');
});

test.each([
  ['2026-01-02t03:04:05z', '2026-01-02T03:04:05.000Z'],
  ['2026-01-02T03:04:60.5Z', '2026-01-02T03:05:00.500Z'],
  ['2026-01-02T03:04:05.123456789012Z', '2026-01-02T03:04:05.123Z'],
  ['2026-01-02T03:04:05.123456+02:00', '2026-01-02T03:04:05.123456+02:00'],
])('the instant %s is written %s', (actionTime, instant) =>
  expect(eventInstant({ ...event({}), actionTime })).toBe(instant),
);

test('an address is one where the standard library and OCSF say so', () => {
  const regex = ocsfSchema.types['ip_t']?.regex ?? 'the type is missing';
  const group = fc.constantFrom('0', '1', 'ffff', '10000', 'g', '', '255', '256', '01', '1.2.3.4', '1.2.3');
  const address = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.array(group, { maxLength: 9 }).map((parts) => parts.join(':')),
    fc
      .array(fc.constantFrom('1', 'ffff', '1:2:3', '1:2:3:4', '1.2.3.4'), { maxLength: 3 })
      .map((parts) => parts.join('::')),
    fc.array(group, { maxLength: 5 }).map((parts) => parts.join('.')),
    fc.tuple(fc.ipV6(), fc.constantFrom('%eth0', ' ', '/64', ':')).map((parts) => parts.join('')),
  );
  forAll([address], { seed: 3, numRuns: 300 }, (one) => {
    const version = ipVersion(one);
    if (one.length <= 40 && !one.includes('%')) expect(version ?? 0).toBe(isIP(one));
    else expect(version).toBeUndefined();
    if (version !== undefined) expect(one).toMatch(new RegExp(regex));
  });
});

test('a long id is not cut in CEF, it has a key of its own', () => {
  const long = 'i'.repeat(41);
  expect(formats.cef.format(event({ id: long }))).toContain(` CloudflareAuditLogsId=${long} `);
  expect(formats.cef.format(event({ id: 'i'.repeat(40) }))).toContain(` externalId=${'i'.repeat(40)} `);
});

test.each([
  ['/a?b=c', { path: '/a', query: 'b=c', scheme: undefined, host: undefined, isWhole: true }],
  ['/a#b', { path: '/a', query: undefined, scheme: undefined, host: undefined, isWhole: false }],
  ['https://u:p@h.example:8443/a', { path: '/a', query: undefined, scheme: 'https', host: 'h.example', isWhole: true }],
  ['?', { path: '', query: '', scheme: undefined, host: undefined, isWhole: true }],
])('%s is taken apart', (uri, parts) => expect(readUri(uri)).toEqual(parts));

test('a text that is no JSON, which the store never holds, is kept by OCSF', () => {
  const broken = { ...event({}), rawText: '{"id":' };
  expect(JSON.parse(formats.ocsf.format(broken)).raw_data).toBe('{"id":');
});

const events = [...sampleEvents, ...simulatedEvents(500), ...simulatedUserEvents(100, 501)];

/** The scalars inside a value, each as `type:text`, with where it stands. */
const scalars = (value: unknown, path: string): [string, string][] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => scalars(inner, `${path}.${key}`))
    : [[path, `${typeof value}:${value}`]];

const exactText = ({ rawText, defects }: FeedEvent): string =>
  defects?.includes('nested_too_deeply') ? JSON.parse(rawText) : rawText;

// Documented words have a number and a caption of their own in OCSF.
const captioned = new Set(
  ['create', 'view', 'update', 'delete', 'login', 'success', 'failure', 'user', 'system'].map(
    (word) => `string:${word}`,
  ),
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

const organizationId = 'o';
const event = (entry: unknown): FeedEvent => storedEvents([JSON.stringify(entry)], organizationId)[0] as FeedEvent;
const written = (name: FormatName, entry: unknown) => JSON.parse(formats[name].format(event(entry)));
