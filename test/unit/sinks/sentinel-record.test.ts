import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { auditRecord } from '../../../src/sinks/kinds/sentinel.ts';
import { hostileEvents, ordinaryEvents, outgoing } from '../../support/sinks/outgoing-events.ts';
import { storedEvents } from '../formats/simulated-events.ts';

const template = JSON.parse(readFileSync(new URL('../../../deploy/azure/sentinel.json', import.meta.url), 'utf8'));
const columns = new Map<string, string>(
  template.variables.columns.map(({ name, type }: { name: string; type: string }) => [name, type]),
);

const entry = JSON.stringify({
  id: 'e1',
  account: { id: 'a'.repeat(32), name: 'Shop' },
  action: { type: 'delete', result: 'failure', time: '2026-11-20T08:00:00.123Z', description: 'Delete DNS record' },
  actor: {
    id: 'u1',
    email: 'mira@example.com',
    type: 'user',
    ip_address: '198.51.100.7',
    token_id: 't1',
    token_name: 'ci',
  },
  raw: {
    cf_ray_id: '9a-FRA',
    method: 'DELETE',
    status_code: 403,
    uri: '/zones/1/dns_records/2',
    user_agent: 'curl/8',
  },
  resource: { id: 'r1', type: 'dns_records', product: 'dns' },
});

test('an entry has the columns by which ASIM asks, and its text to the byte', () => {
  const sent = event();
  expect(JSON.parse(auditRecord(sent))).toMatchObject({
    TimeGenerated: '2026-11-20T08:00:00.123Z',
    Key: sent.key,
    Position: sent.event.position,
    Event: sent.text,
    EventType: 'Delete',
    EventOriginalType: 'delete',
    EventOriginalUid: 'e1',
    EventResult: 'Failure',
    EventOriginalResultDetails: '403',
    EventSeverity: 'Medium',
    Operation: 'delete',
    Object: 'r1',
    ObjectType: 'dns_records',
    ActorUserId: 'u1',
    ActorUsername: 'mira@example.com',
    SrcIpAddr: '198.51.100.7',
    HttpUserAgent: 'curl/8',
    TargetAppName: 'dns',
    TargetUrl: '/zones/1/dns_records/2',
    RayId: '9a-FRA',
    TokenId: 't1',
    TokenName: 'ci',
  });
});

const found = () => ({
  ...event(),
  finding: {
    ...{ detection: 'dns_records_deleted', severity: 'critical', eventPosition: 1, events: 5, firstTime: null },
    ...{ actor: 'mira@example.com', actorIpAddress: '198.51.100.7', actionType: 'delete', actionResult: null },
    ...{ resourceType: 'dns_records', resourceId: null, summary: 'five records' },
  },
});

test('a finding is an alert', () =>
  expect(JSON.parse(auditRecord(found()))).toMatchObject({
    EventProduct: 'orgtrail',
    EventSchema: 'AlertEvent',
    EventType: 'Alert',
    EventSeverity: 'High',
    EventMessage: 'five records',
    Operation: 'dns_records_deleted',
    Object: 'dns_records',
  }));

test('the template declares every column that a row has, with its type; the longest is the event', () => {
  const types: Readonly<Record<string, string>> = {
    string: 'string',
    long: 'number',
    int: 'number',
    boolean: 'boolean',
  };
  const seen = new Set<string>();
  for (const sent of [event(), found(), ...ordinaryEvents(3, 'ecs'), ...hostileEvents('native')]) {
    const row: Readonly<Record<string, unknown>> = JSON.parse(auditRecord(sent));
    for (const [name, value] of Object.entries(row)) {
      seen.add(name);
      const type = columns.get(name) ?? 'none';
      expect(typeof value, name).toBe(type === 'datetime' ? 'string' : types[type]);
      if (type === 'datetime') expect(Number.isNaN(Date.parse(String(value)))).toBe(false);
      if (typeof value === 'string') expect(value.length).toBeLessThanOrEqual(sent.text.length);
    }
  }
  // Only entries of zones and organizations have the others.
  expect([...columns.keys()].filter((name) => !seen.has(name) && !/^(Zone|Organization|Account)/.test(name))).toEqual(
    [],
  );
});

const event = () => {
  const [stored] = storedEvents([entry], 'org-1');
  if (stored === undefined) throw new Error('no event');
  return outgoing(stored);
};
