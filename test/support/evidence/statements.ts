import type { Statement, StatementOf } from '../../../src/evidence/journal/statement.ts';

const tree = {
  origin: 'audit.example.com/evidence/1f2e3d4c-5b6a-4798-8192-a3b4c5d6e7f8.1/events',
  size: 43,
  root: 'LxJ2i8B6nx8fAbIMDXS4awGKm8rnuMg8kFlLbtpZPW4=',
};
const at = '2026-01-10T00:00:00.123456Z';
const common = { at, tree };
const sha256 = 'bc63d6d1735f944b4c095d441fe6e96c3134046afdd42c902c016048759eb2fe';

export const coverageStatement: StatementOf<'coverage'> = {
  type: 'coverage',
  ...common,
  source_kind: 'organization',
  source_id: '0193c4f5',
  filter: { text: 'actor_email=a%40example.com', hash: 'f1' },
  wanted_since: '2026-01-01T00:00:00Z',
  passes: [
    { pass: 0, ranges: [['-infinity', '2026-01-10T00:00:00Z']] },
    { pass: 1, ranges: [] },
  ],
  events: 1,
  chain: sha256,
  commits: 3,
  server_time: at,
  reads: { count: 3, sha256, after: { count: 1, sha256 } },
  as_of: at,
  holes: [{ pass: 0, range: ['2026-01-02T00:00:00Z', '2026-01-02T00:00:01Z'], reason: 'r', attempts: 1, found_at: at }],
  readings: [
    {
      range: ['-infinity', '2026-01-02T00:00:00Z'],
      method: 'scrub',
      number: 2,
      direction: 'desc',
      found: 0,
      read_from: at,
      read_to: at,
    },
  ],
  left_out: { ranges: 1, holes: 2, readings: 3 },
  read_again: [['-infinity', '2026-01-05T00:00:00Z']],
};

export const dropStatement: StatementOf<'drop'> = {
  type: 'drop',
  ...common,
  month: '2025-12',
  events: 7,
  ids_sha256: sha256,
  retention: '1 year',
  account: 'orgtrail_ingest',
  holds: [1],
  positions: [
    [1, 7],
    [43, 44],
  ],
  part: 1,
  parts: 1,
  dropped_at: '2026-01-09T23:59:59.5Z',
};

/** One of each type, and the text that it must have: a contract, since texts are hashed. */
export const statementTexts: readonly (readonly [Statement, string])[] = (() => {
  const head = `"at":"${at}","tree":{"origin":"${tree.origin}","size":43,"root":"${tree.root}"}`;
  return [
    [
      { type: 'genesis', ...common, version: '0.3.0', feed_id: '1f2e', vkeys: ['a+0+b'], retention: null, adopted: 5 },
      `{"type":"genesis",${head},"version":"0.3.0","feed_id":"1f2e","vkeys":["a+0+b"],"retention":null,"adopted":5}`,
    ],
    [
      { type: 'source', ...common, number: 1, kind: 'account', id: 'a1', organization_id: null },
      `{"type":"source",${head},"number":1,"kind":"account","id":"a1","organization_id":null}`,
    ],
    [
      coverageStatement,
      `{"type":"coverage",${head},"source_kind":"organization","source_id":"0193c4f5",` +
        '"filter":{"text":"actor_email=a%40example.com","hash":"f1"},"wanted_since":"2026-01-01T00:00:00Z",' +
        '"passes":[{"pass":0,"ranges":[["-infinity","2026-01-10T00:00:00Z"]]},{"pass":1,"ranges":[]}],' +
        `"events":1,"chain":"${sha256}","commits":3,"server_time":"${at}","reads":{"count":3,"sha256":"${sha256}","after":{"count":1,"sha256":"${sha256}"}},"as_of":"${at}",` +
        `"holes":[{"pass":0,"range":["2026-01-02T00:00:00Z","2026-01-02T00:00:01Z"],"reason":"r","attempts":1,"found_at":"${at}"}],` +
        '"readings":[{"range":["-infinity","2026-01-02T00:00:00Z"],"method":"scrub","number":2,"direction":"desc","found":0,' +
        `"read_from":"${at}","read_to":"${at}"}],"left_out":{"ranges":1,"holes":2,"readings":3},"read_again":[["-infinity","2026-01-05T00:00:00Z"]]}`,
    ],
    [
      { type: 'change', ...common, position: 42, event_id: 'e\u00e9-1', raw_sha256: sha256, length: 71, seen_at: at },
      `{"type":"change",${head},"position":42,"event_id":"e\u00e9-1","raw_sha256":"${sha256}","length":71,"seen_at":"${at}"}`,
    ],
    [
      dropStatement,
      `{"type":"drop",${head},"month":"2025-12","events":7,"ids_sha256":"${sha256}","retention":"1 year",` +
        '"account":"orgtrail_ingest","holds":[1],"positions":[[1,7],[43,44]],"part":1,"parts":1,"dropped_at":"2026-01-09T23:59:59.5Z"}',
    ],
    [
      { type: 'jump', ...common, id: 1_003, positions: [[44, 90]], old_timeline: 'a', new_timeline: 'b', found_at: at },
      `{"type":"jump",${head},"id":1003,"positions":[[44,90]],"old_timeline":"a","new_timeline":"b","found_at":"${at}"}`,
    ],
    [
      { type: 'clock', ...common, before: null, ahead_seconds: -4_000, compared_at: at },
      `{"type":"clock",${head},"before":null,"ahead_seconds":-4000,"compared_at":"${at}"}`,
    ],
    [
      {
        type: 'hold',
        ...common,
        action: 'released',
        id: 1,
        organization_id: 'o1',
        account_id: null,
        since: null,
        before: at,
        reason: 'case 12\nof court',
        created_by: 'legal',
        created_as: 'admin',
        created_at: at,
        released_by: null,
        released_as: 'admin',
        released_at: at,
      },
      `{"type":"hold",${head},"action":"released","id":1,"organization_id":"o1","account_id":null,"since":null,` +
        `"before":"${at}","reason":"case 12\\nof court","created_by":"legal","created_as":"admin","created_at":"${at}",` +
        `"released_by":null,"released_as":"admin","released_at":"${at}"}`,
    ],
    [
      {
        type: 'key',
        ...common,
        reason: 'rotation',
        old_vkeys: ['a'],
        new_vkeys: ['b'],
        first_size: 44,
        old_signs_until: '2026-03-08T00:00:00Z',
        by: 'J. Doe',
      },
      `{"type":"key",${head},"reason":"rotation","old_vkeys":["a"],"new_vkeys":["b"],"first_size":44,` +
        '"old_signs_until":"2026-03-08T00:00:00Z","by":"J. Doe"}',
    ],
    [
      { type: 'schema', ...common, from_version: '0030', to_version: '0031', size_before: 43, size_after: 43 },
      `{"type":"schema",${head},"from_version":"0030","to_version":"0031","size_before":43,"size_after":43}`,
    ],
    [
      {
        type: 'fork',
        ...common,
        last_note: 'a\n',
        common_size: 40,
        cause: 'restore',
        by: 'dba',
        version: '0.3.0',
        feed_id: '1f2e',
        vkeys: ['a+0+b'],
        retention: null,
        adopted: 50,
      },
      `{"type":"fork",${head},"last_note":"a\\n","common_size":40,"cause":"restore","by":"dba",` +
        '"version":"0.3.0","feed_id":"1f2e","vkeys":["a+0+b"],"retention":null,"adopted":50}',
    ],
    [
      { type: 'timestamp', ...common, anchor: 'tsa', token_sha256: sha256, checkpoint: tree },
      `{"type":"timestamp",${head},"anchor":"tsa","token_sha256":"${sha256}","checkpoint":` +
        `{"origin":"${tree.origin}","size":43,"root":"${tree.root}"}}`,
    ],
    [{ type: 'end', ...common, reason: 'over', by: 'dba' }, `{"type":"end",${head},"reason":"over","by":"dba"}`],
    [
      {
        type: 'archive',
        ...common,
        id: 5,
        kind: 'events',
        month: '2024-01',
        first_position: 3,
        last_position: 40,
        events: 30,
        bytes: 4_711,
        sha256,
        ids_sha256: sha256,
        raw_sha256: sha256,
        written_at: '2026-03-01T00:00:00Z',
      },
      `{"type":"archive",${head},"id":5,"kind":"events","month":"2024-01","first_position":3,"last_position":40,"events":30,` +
        `"bytes":4711,"sha256":"${sha256}","ids_sha256":"${sha256}","raw_sha256":"${sha256}","written_at":"2026-03-01T00:00:00Z"}`,
    ],
  ];
})();
