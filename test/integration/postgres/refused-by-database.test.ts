import { beforeAll, describe, expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import {
  asCareful,
  commit,
  entryText,
  eventsOf,
  everything,
  newSource,
  pageOf,
  takeLease,
} from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { nested } from '../../support/sync/defective-entries.ts';

const database = databaseOfTests();
const pool = poolOfTests(database);
/** Connections on which PostgreSQL takes far fewer levels of nesting than orgtrail expects. */
const strict = forAllTests(() => createPool(database.url, 2, () => {}));
beforeAll(async () => {
  const name = new URL(database.url).pathname.slice(1);
  await pool.query(`alter database ${name} set max_stack_depth = '100kB'`);
});

describe('invariant 2: an entry that only the database refuses', () => {
  test('is kept as text, with its id, time and columns; the other entries of the page are unaffected', async () => {
    const lease = await newSource(strict, 'refused');
    const [before, refused, after] = [entryText('before'), deep('"id":"refused",'), entryText('after')];
    const page = pageOf([before, refused, after]);
    expect(page.kind, 'nothing to see for orgtrail itself').not.toBe('careful');
    expect(await commit(strict, lease, page)).toMatchObject({ kind: 'committed', stored: 3, defective: 1 });
    expect(await eventsOf(strict, 'refused')).toMatchObject([
      { id: 'before', raw: before, defects: null },
      { id: 'refused', raw: JSON.stringify(refused), defects: ['refused_by_database'], time },
      { id: 'after', raw: after, defects: null },
    ]);
    const { rows } = await strict.query(
      "select action_type, actor_email, raw #>> '{}' as text from audit_events where defects is not null",
    );
    expect(rows).toEqual([{ action_type: 'delete', actor_email: 'a@example.com', text: refused }]);
  });

  test('is a duplicate when it comes again, also on the same page', async () => {
    const lease = await takeLease(strict, 'refused');
    const refused = deep('"id":"refused",');
    const before = (await everything(strict))['audit_events'];
    expect(await commit(strict, lease, [refused, refused])).toMatchObject({ stored: 0, duplicates: 2, changed: 0 });
    expect((await everything(strict))['audit_events']).toEqual(before);
  });

  test('is refused on a page that is read carefully for the sake of another entry, too', async () => {
    const lease = await newSource(strict, 'careful');
    const page = pageOf([deep('"id":"careful",'), deep('')]);
    expect(await commit(strict, lease, asCareful(page))).toMatchObject({ stored: 2, defective: 2 });
    expect(await eventsOf(strict, 'careful')).toMatchObject([
      { id: 'careful', defects: ['refused_by_database'] },
      { id: expect.stringMatching(/^sha256:/), defects: ['id_missing', 'refused_by_database'], time },
    ]);
  });

  test('does not disturb the view of the history', async () => {
    const { rows } = await strict.query(
      "select id, payload from audit_history where source_id = 'refused' order by position",
    );
    expect(rows).toMatchObject([{ id: 'before' }, { id: 'refused', payload: null }, { id: 'after' }]);
  });

  test('is not mistaken for a fault of the schema, which fails the page', async () => {
    const lease = await newSource(strict, 'schema');
    await pool.query('alter table lanes rename to elsewhere');
    try {
      await expect(commit(strict, lease, [entryText('schema')])).rejects.toThrow('lanes');
    } finally {
      await pool.query('alter table elsewhere rename to lanes');
    }
    expect(await eventsOf(strict, 'schema')).toEqual([]);
  });

  test.each([
    ['22030', 'secret words'],
    // What jsonb with millions of members ends in.
    ['XX000', 'invalid memory alloc request size 1207959552'],
  ])(
    'a page that is refused whatever is done about it is the trouble of its source, not of the database (invariant 10): %s',
    async (code, words) => {
      const lease = await newSource(strict, `poison ${code}`);
      await pool.query(
        `create function refuse_poison() returns trigger language plpgsql as
         $$ begin if new.id = 'poison' then raise '${words}' using errcode = '${code}'; end if; return new; end $$;
       create trigger refuse_poison before insert on audit_events for each row execute function refuse_poison()`,
      );
      await expect(commit(strict, lease, [entryText('poison')])).rejects.toMatchObject({
        name: 'ApiError',
        failure: 'unreadable',
        message: `PostgreSQL refuses the page (SQLSTATE ${code})`,
      });
      await pool.query('drop function refuse_poison cascade');
      expect(await commit(strict, lease, [entryText('poison')])).toMatchObject({ kind: 'committed', stored: 1 });
    },
  );
});

const time = '2026-01-10T00:00:00.000Z';

const deep = (id: string) =>
  `{${id}"action":{"type":"delete","time":"${time}"},"actor":{"email":"a@example.com"},"n":${nested(4_000)}}`;
