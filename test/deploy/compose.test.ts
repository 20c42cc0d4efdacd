import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

const servicesOf = (name: string) => {
  const file = new URL(`../../deploy/compose/${name}`, import.meta.url);
  return (parse(readFileSync(file, 'utf8'), { merge: true }) as { services: Record<string, Service> }).services;
};
const { orgtrail: changed, ...added } = servicesOf('evidence-process.yaml');
const { bucket } = servicesOf('archive.yaml');
const services = { ...servicesOf('compose.yaml'), ...added, ...(bucket && { bucket }) };

test('the key of the evidence is for its container alone', () => {
  expect(Object.keys(added)).toEqual(['evidence']);
  expect(added['evidence']?.secrets).toEqual(['evidence_url', 'evidence_key']);
  expect(added['evidence']?.environment?.['ORGTRAIL_EVIDENCE_KEY_FILE']).toBe('/run/secrets/evidence_key');
  expect(Object.keys(changed ?? {})).toEqual(['environment']);
  expect(Object.keys(changed?.environment ?? {})).toEqual(['ORGTRAIL_EVIDENCE_ORIGIN']);
});

test.each(Object.entries(services))('the service %s has a limit of memory and leaves no core dump', (_, service) => {
  expect(service.mem_limit).toMatch(/^(\d+m|\$\{POSTGRES_MEMORY:-1g\})$/);
  expect(service.ulimits).toEqual({ core: 0 });
  expect(service.read_only).toBe(true);
});

interface Service {
  readonly mem_limit?: string;
  readonly ulimits?: { readonly core?: number };
  readonly read_only?: boolean;
  readonly secrets?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}
