import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { mmdb } from '../../support/search/mmdb.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('a file of countries may be missing, change and break while a daemon runs: it collects, and says each once', async () => {
  await using world = await openWorld({ organizations: 1, entries: 30 });
  const { folder } = temporaryFolder();
  const file = join(folder, 'country.mmdb');
  const replace = (content: Buffer | string): void => {
    writeFileSync(`${file}.new`, content);
    renameSync(`${file}.new`, file);
  };
  await using daemon = await startDaemonProcess({ ...world.env, ORGTRAIL_GEOIP: file });
  const append = (id: string) => {
    const [organization] = world.simulator.summary().organizations;
    const action = { type: 'purge', result: 'success', time: new Date(Date.now() - 30_000).toISOString() };
    const entry = { id, action, actor: { id: 'mira', ip_address: '192.0.2.1' } };
    world.simulator.append(organization?.id ?? '', [JSON.stringify(entry)]);
  };
  const stored = async () => (await world.compare()).missing === 0;
  const ask = async (country: string) => {
    const answer = JSON.parse((await daemon.get(`/v1/search?q=country:${country}`)).text);
    return { ids: answer.events.map(({ id }: { id: string }) => id), because: answer.incomplete_because };
  };
  const said = (words: string) => daemon.process.stdout().split(words).length - 1;
  const unread = 'addresses are not looked up; events are still collected';

  append('first');
  await until('all is stored', stored);
  await until('it says that there is no file', async () => said(unread) === 1);
  expect(await ask('DE')).toMatchObject({ ids: [], because: expect.arrayContaining(['places_not_looked_up']) });

  replace(mmdb('Countries', { '192.0.2.0/24': { country: { iso_code: 'DE' } } }));
  await until('the file is read', async () => (await ask('DE')).ids.join() === 'first');
  replace(mmdb('Countries', { '192.0.2.0/24': { country: { iso_code: 'AT' } } }));
  await until('the next one of the same date is read', async () => (await ask('AT')).ids.join() === 'first');
  expect((await ask('DE')).ids).toEqual([]);

  replace('no longer a database');
  await until('it says that the file is broken', async () => said(unread) === 2);
  append('second');
  await until('all is stored', stored);
  await until('by what it has read before', async () => (await ask('AT')).ids.length === 2);
  expect((await ask('AT')).because).not.toContain('places_not_looked_up');
  expect([said(unread), said('addresses are looked up again')]).toEqual([2, 1]);
});
