import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

interface Service {
  readonly mem_limit?: string;
  readonly ulimits?: { readonly core?: number };
  readonly read_only?: boolean;
}

const file = new URL('../../deploy/compose/compose.yaml', import.meta.url);
const { services } = parse(readFileSync(file, 'utf8'), { merge: true }) as { services: Record<string, Service> };

test.each(Object.entries(services))('the service %s has a limit of memory and leaves no core dump', (_, service) => {
  expect(service.mem_limit).toMatch(/^(\d+m|\$\{POSTGRES_MEMORY:-1g\})$/);
  expect(service.ulimits).toEqual({ core: 0 });
  expect(service.read_only).toBe(true);
});
