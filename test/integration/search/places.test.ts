import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openGeoip } from '../../../src/base/geoip.ts';
import { addressLookup } from '../../../src/search/names/places.sql.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { mmdb } from '../../support/search/mmdb.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'orgtrail-places-'));
afterAll(() => rmSync(folder, { recursive: true }));
const [countries, owners] = [join(folder, 'country.mmdb'), join(folder, 'asn.mmdb')];
const replace = (file: string, content: Buffer | string): void => {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
};
const atHome = { country: { iso_code: 'DE' } };
replace(countries, mmdb('Test-Country', { '192.0.2.0/24': atHome, '2001:db9::/32': { country_code: 'FR' } }));
replace(
  owners,
  mmdb('Test-ASN', {
    '192.0.2.0/25': { autonomous_system_number: 64_500, autonomous_system_organization: 'Example, Inc.' },
    '2001:db9::/32': { asn: 'AS64501', as_name: 'Réseau' },
  }),
);

const world = forAllTests(() => openWorld({ organizations: 1, entries: 30 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
const append = async (...addresses: readonly string[]) => {
  const [organization] = world.simulator.summary().organizations;
  const entries = addresses.map((address, n) => ({
    id: `from-${address}`,
    action: { type: 'purge', result: 'success', time: new Date(Date.now() - (100 + n) * 1_000).toISOString() },
    actor: { id: 'mira', email: 'zmira@example.com', ip_address: address },
  }));
  world.simulator.append(
    organization?.id ?? '',
    entries.map((entry) => JSON.stringify(entry)),
  );
  await until('they are stored', async () => {
    await run.cycle();
    const { rowCount } = await pool.query('select from audit_events where id = any($1)', [
      addresses.map((one) => `from-${one}`),
    ]);
    return rowCount === addresses.length;
  });
};
beforeAll(() => append('192.0.2.1', '192.0.2.200', '2001:db9::77', '198.51.100.77', 'not-an-address'));

const geoip = openGeoip([countries, owners]);
const lookUp = addressLookup(pool, geoip, new AbortController().signal);

const get = async (path: string) => await (await fetch(`${served.server.url}${path}`)).text();
const ask = async (q: string) => {
  const answer = JSON.parse(await get(`/v1/search?${new URLSearchParams({ q: `${q} actor:zmira@example.com` })}`));
  return { ids: answer.events.map(({ id }: { id: string }) => id.slice(5)), because: answer.incomplete_because };
};
const [home, away, abroad] = ['192.0.2.1', '192.0.2.200', '2001:db9::77'];
const mapped = '::ffff:192.0.2.2';
const unknown = ['198.51.100.77', 'not-an-address'];

test('before addresses are looked up no answer about places is complete', async () => {
  expect(await ask('country:DE')).toMatchObject({
    ids: [],
    because: expect.arrayContaining(['places_not_looked_up', 'value_never_occurs']),
  });
  expect((await ask('action:purge')).because).not.toContain('places_not_looked_up');
});

test('country and network owner filter, exclude, and are top values, news and facts', async () => {
  await geoip.refresh();
  await lookUp();
  const found = await ask('country:de');
  expect(found.ids).toEqual([home, away]);
  expect(found.because).not.toContain('places_not_looked_up');
  expect((await ask('country:DE,FR -network:exa*')).ids).toEqual([away, abroad]);
  expect((await ask('network:as64501')).ids).toEqual([abroad]);
  expect((await ask('network:"EXAMPLE, inc."')).ids).toEqual([home]);
  expect((await ask('-country:DE')).ids).toEqual([abroad, ...unknown]);
  for (const exact of ['true', 'false']) {
    const { fields } = JSON.parse(await get(`/v1/search/summary?q=actor:zmira@example.com&exact=${exact}`)).facets;
    const valuesOf = (name: string) => fields[name].values.map(({ value, events }: Counted) => [value, events]);
    expect(valuesOf('country'), exact).toEqual([
      ['DE', 2],
      ['FR', 1],
    ]);
    expect(valuesOf('network'), exact).toEqual([
      ['Example, Inc.', 1],
      ['Réseau', 1],
    ]);
    expect([fields.country.without, fields.network.without], exact).toEqual([2, 3]);
  }
  const { rows } = await pool.query(`select position from audit_events where id = 'from-${home}'`);
  const page = await get(`/events/${rows[0].position}`);
  expect(page).toMatch(/Country<\/dt><dd><span class="value">DE<.*Network owner<\/dt>.*Example, Inc\.<.*AS64500</s);
});

test('a file that changes is read again, for all addresses; one that breaks leaves what it had', async () => {
  await append(mapped);
  await lookUp();
  expect((await ask('country:DE')).ids.toSorted()).toEqual([home, away, mapped]);
  replace(countries, mmdb('Test-Country', { '192.0.2.0/24': { country_code: 'AT' } }, new Date(86_400_000)));
  await geoip.refresh();
  await lookUp();
  expect([(await ask('country:DE')).ids.length, (await ask('country:AT')).ids.length]).toEqual([0, 3]);
  expect((await ask('country:FR')).ids).toEqual([]);
  const config = { ...world.env, ORGTRAIL_GEOIP: `${owners}, ${countries}` };
  const sound = await runInProcess(['check'], config);
  expect(sound.stdout).toMatch(
    /^ok {4}geoip +Test-ASN of 1970-01-01T00:00:00.000Z \([0-9a-f]{12}\), Test-Country of 1970-01-02/m,
  );
  replace(countries, 'no longer a database');
  await expect(geoip.refresh()).rejects.toThrow(`ORGTRAIL_GEOIP: ${countries} cannot be used`);
  await append('192.0.2.3');
  await lookUp();
  expect((await ask('country:AT')).ids).toHaveLength(4);
  const broken = await runInProcess(['check'], config);
  expect(broken.stdout).toMatch(
    /^FAIL {2}geoip +ORGTRAIL_GEOIP: .*country\.mmdb cannot be used: .*\n +Try: it must be/m,
  );
  expect(broken.code).toBe(2);
});

test('when a month goes or comes back all addresses are looked up again, and those of no event go', async () => {
  await pool.query("insert into address_places (address, country) values ('203.0.113.9', 'AT')");
  await pool.query('delete from place_head');
  expect((await ask('country:AT')).because).toContain('places_not_looked_up');
  await lookUp();
  expect((await ask('country:AT')).because).not.toContain('places_not_looked_up');
  expect((await pool.query("select from address_places where address = '203.0.113.9'")).rowCount).toBe(0);
});

test.each(['country:Germany', 'country:DE archive:true'])('%s is refused', async (q) => {
  expect((await fetch(`${served.server.url}/v1/search?${new URLSearchParams({ q })}`)).status).toBe(400);
});

interface Counted {
  readonly value: string;
  readonly events: number;
}
