import { describe, expect, test } from 'vitest';
import type { Page } from '../../../src/ingest/entries/page.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { asCareful, commitAll, entryText, newSource, pageOf } from '../../support/postgres/store-fixture.ts';
import { newAccountSource } from '../../support/sync/account-source.ts';

const database = databaseOfTests();

const ways: readonly (readonly [string, (texts: readonly string[]) => readonly Page[]])[] = [
  ['all on one page', (texts) => [pageOf(texts)]],
  ['each on a page of its own, by the fast path', (texts) => texts.map((text) => pageOf([text], undefined, true))],
  ['without the fast path', (texts) => [pageOf(texts, undefined, false)]],
  ['carefully, entry by entry', (texts) => [asCareful(pageOf(texts))]],
];

describe.each([
  ['an account', 'account', newAccountSource],
  ['an organization', 'organization', newSource],
] as const)('the log of %s', (_, kind, newOne) => {
  test.each(ways)(
    '%s: account and zone are those of the entry; without one, the account whose log it is',
    async (name, pages) => {
      const { pool } = database;
      const source = `${kind} ${name}`;
      const texts = oddities.map(([id, more]) => entryText(id, undefined, more));
      await commitAll(pool, await newOne(pool, source), pages(texts));
      const { rows } = await pool.query<Record<string, string | null>>(
        `select id, account_id, account_name, zone_id, zone_name,
         coalesce(raw::jsonb #>> '{account,id}', case when source_kind = 'account' then source_id end) as expected_account_id,
         raw::jsonb #>> '{account,name}' as expected_account_name, raw::jsonb #>> '{zone,id}' as expected_zone_id,
         raw::jsonb #>> '{zone,name}' as expected_zone_name
       from audit_events where source_kind = $1 and source_id = $2`,
        [kind, source],
      );
      expect(rows).toHaveLength(oddities.length);
      for (const row of rows) {
        for (const column of ['account_id', 'account_name', 'zone_id', 'zone_name']) {
          expect(row[column], `${column} of ${row['id']}`).toBe(row[`expected_${column}`]);
        }
        if (kind === 'account') expect(row['account_id'], `of ${row['id']}`).not.toBeNull();
      }
    },
  );
});

// What `audit_events` says of account and zone is what the entry says, by PostgreSQL's own reading of it, however odd that is.

const oddities: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['nothing', {}],
  ['null', { account: null, zone: null }],
  ['an empty object', { account: {}, zone: {} }],
  ['an empty array', { account: [], zone: [] }],
  ['an array of objects', { account: [{ id: 'within' }], zone: [{ id: 'within' }] }],
  ['a text', { account: 'text', zone: 'text' }],
  ['a number', { account: 12, zone: 12 }],
  ['an id that is null', { account: { id: null, name: null }, zone: { id: null, name: null } }],
  ['an empty id', { account: { id: '', name: '' }, zone: { id: '', name: '' } }],
  ['an id that is a number', { account: { id: 12, name: 1.5 }, zone: { id: 12, name: 1e3 } }],
  ['an id that is true', { account: { id: true, name: false }, zone: { id: true } }],
  ['an id that is an object', { account: { id: { a: 1 }, name: ['x'] }, zone: { id: [1], name: {} } }],
  ['its own id', { account: { id: 'own', name: 'Name' }, zone: { id: 'z', name: 'shop.example' } }],
  ['the id of another account', { account: { id: 'another', name: 'Another' }, zone: { id: 'z2' } }],
  ['an organization as well', { account: { id: 'own' }, organization: { id: 'o1', name: 'Of the account' } }],
  ['letters beyond ASCII', { account: { id: 'ä\u2028"\\', name: '\ud83d\ude00' }, zone: { id: 'ö', name: 'ü' } }],
];
