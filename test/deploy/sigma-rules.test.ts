import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readSigmaFiles } from '../support/deploy/sigma-rules.ts';

const docs = readFileSync(new URL('../../docs/detections.md', import.meta.url), 'utf8');
const files = readSigmaFiles();

/** Fields that the format ecs has, by docs/formats.md and the tests of the format. */
const fields = [
  'event.action',
  'event.outcome',
  'http.request.method',
  'http.response.status_code',
  'url.path',
  'user.id',
  ...['type', 'product', 'id', 'request', 'response'].map((name) => `cloudflare.audit.resource.${name}`),
  ...['actor.type', 'actor.token_id', 'action.description', 'source.id'].map((name) => `cloudflare.audit.${name}`),
];

describe('deploy/sigma', () => {
  test('has an id of its own for each document', () => {
    const ids = files.flatMap(({ rule, about }) => [...new Set([rule.id, about.id])]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test.each(files)('$file has what the specification asks for', ({ file, text, rule, about, correlation }) => {
    expect(file).toMatch(/^[a-z0-9_]{6,66}\.yml$/);
    expect(about.title.length).toBeLessThan(100);
    expect(about.description).toMatch(/^[A-Z].*\.\n$/s);
    expect(['experimental', 'test', 'stable']).toContain(about.status);
    expect(['low', 'medium', 'high', 'critical']).toContain(about.level);
    expect(about.date).toMatch(/^\d{4}-\d{2}-\d{2}$/);
    expect(about.tags.some((tag) => /^attack\.t\d{4}(\.\d{3})?$/.test(tag))).toBe(true);
    for (const tag of about.tags) expect(tag).toMatch(/^attack\.[a-z0-9.-]+$/);
    expect(about.falsepositives.length).toBeGreaterThan(0);
    for (const reference of about.references) expect(reference).toMatch(/^https:\/\/developers\.cloudflare\.com\//);
    expect(rule.logsource).toMatchObject({ product: 'cloudflare', service: 'audit' });
    if (correlation !== undefined) expect(correlation.rules).toEqual([rule.name]);
    expect(text).not.toMatch(/\t|\r|^ {1,3}\S/m);
  });

  test.each(files)('$file asks only for fields that there are', ({ rule, correlation }) => {
    const { condition: _, ...searches } = rule.detection;
    const keys = Object.values(searches)
      .flatMap((search) => [search].flat())
      .flatMap((map) => Object.keys(map));
    const asked = [...keys.map((key) => key.split('|')[0]), ...(correlation?.['group-by'] ?? [])];
    expect(asked.length).toBeGreaterThan(0);
    for (const field of asked) expect(fields).toContain(field);
  });

  test.each(files)('docs/detections.md describes $detection, with its severity', ({ file, detection, about }) => {
    const row = docs.split('\n').find((line) => line.startsWith('| ') && line.includes(`\`detection_${detection}\``));
    expect(row).toContain(`(../deploy/sigma/${file})`);
    expect(row).toContain(`| ${about.level} |`);
    for (const field of fields) expect(docs).toContain(`\`${field}\``);
  });
});
