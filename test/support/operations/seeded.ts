import type { Pool } from 'pg';

/** What the questions of the operations are about, with all that may be null once null and once not. Nothing of it moves with the clock. */
export const seedOperations = (pool: Pool): Promise<unknown> =>
  pool.query(`
    insert into holds (organization_id, account_id, since, before, reason, created_by, created_as, created_at) values
      (null, null, '-infinity', 'infinity', E'case 17, \\u202e"quoted"', null, 'owner', '2026-01-02T03:04:05.678Z'),
      ('019c4f65e7607d8c9f6f6b58aa3aff50', null, '2025-03-01', '2025-06-01T00:00:00.5Z', 'notice', 'J. Doe, Legal', 'owner', '2026-01-03'),
      (null, 'a2c19c4f65e7607d8c9f6f6b58aa3aff', '2025-03-01', 'infinity', 'account', 'J. Doe, Legal', 'owner', '2026-01-04');
    update holds set released_at = '2026-02-01', released_as = 'owner', released_by = 'T. Roe' where reason = 'notice';
    insert into access_tokens (name, scopes, hash, expires_at, created_at, created_as, sees_access_log, replays_sinks) values
      ('old', '{feed}', sha256('1'), '2026-01-05', '2026-01-01', 'owner', false, false),
      ('all', '{feed,search}', sha256('2'), null, '2026-01-02', 'owner', true, true),
      ('gone', '{metrics}', sha256('3'), null, '2026-01-03', 'owner', false, false);
    update access_tokens set revoked_at = '2026-01-04', revoked_as = 'owner' where name = 'gone';
    insert into sinks (name, kind, target, position, delivered, failures, last_error, max_age_seconds, last_success_at)
      select s.name, s.kind, 'https://example.com/' || s.name, feed_head.position, 7, s.failures, s.error, s.age, s.at
      from feed_head, (values ('siem', 'http', 0, null, 86400, '2026-01-02'::timestamptz), ('pager', 'chat', 3, E'away\\n', null, null))
        as s (name, kind, failures, error, age, at);
    insert into sink_dead_letters (sink, position, reason, refused_at)
      select 'siem', n, 'reason ' || n, '2026-01-02'::timestamptz from generate_series(1, 7) n union all select 'siem', 900000, 'dropped', '2026-01-03';
    insert into saved_searches (name, search, saved_by, saved_as, saved_at, renamed_by, renamed_at) values
      ('Failures', 'since=7d&result=failure', 'searcher', 'owner', '2026-01-02', 'T. Roe', '2026-01-03'),
      ('odd', 'nosuch=1', null, 'owner', '2026-01-04', null, null);
    create schema orgtrail_detections;
    create view orgtrail_detections.mine as select t.*, 'low'::text as severity from audit_event_traits t where deletes;
    comment on view orgtrail_detections.mine is 'Deletions';
    create view orgtrail_detections.member_added as select 1 as position;
    insert into own_detections values ('mine', 3, '2026-01-02', '2026-01-03', E'no \\u202e');
    insert into archive_policy (archive) values ('s3://bucket/orgtrail');
    insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256,
        raw_sha256, columns_sha256, organizations, version_id, locked_until, written_at, verified_at, fault, dropped_at)
      select 's3://bucket/orgtrail?endpoint=https://s3.example.com', 'v1/' || kind, kind, '2025-01-01', feed_id, 1, 9, 9, 1234, repeat('a', 64),
        repeat('b', 64), repeat('c', 64), repeat('d', 64), '{}', version, locked, '2026-01-02', verified, fault, dropped
      from feed_head, (values ('events', 'v1', '2030-01-01'::timestamptz, '2026-01-02'::timestamptz, null, '2026-01-03'::timestamptz),
        ('changes', null, null, '-infinity', 'gone', null)) as o (kind, version, locked, verified, fault, dropped);
    grant select on evidence_checkpoints to orgtrail_ingest;
    insert into evidence_log (base, feed_id, size, root, state, state_reason, anchors, key_ordered)
      select 'audit.example.com', feed_id, 12, sha256('r'), 'halted', 'a hole', '{s3:a}', 'rotation' from feed_head;
    insert into evidence_checkpoints (number, size, root, note, made_at)
      values (1, 12, sha256('r'), E'log\\n12\\n\\n\u2014 key ' || repeat('s', 99) || E'\\n', '2026-01-02')`);
