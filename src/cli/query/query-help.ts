/** Printed behind the options of `orgtrail query`. */
export const queryHelp = `
Runs one SQL statement of DuckDB over all events that are kept: the archived months, from objects whose SHA-256 is that of the catalogue,
and the rows of PostgreSQL, as one view audit_events with each event once. What is committed after the start is left out. Objects and rows
are copied to the temporary directory (TMPDIR) first: --since and --before set a time, and months outside of it are not fetched.
The statement can read that view and nothing else: no file, no network, no setting; nothing is written. Stderr says what was read, and
whether that time is complete. The columns are those of the archive: docs/query.md.

Needs DuckDB (docs/archive.md), and ORGTRAIL_ARCHIVE if months of that time are in an archive alone.

Examples:
  $ orgtrail query 'describe audit_events'
  $ orgtrail query --since 2024-01-01 --before 2024-04-01 \\
      "select actor_email, count(*) from audit_events where action_type = 'delete' group by all order by 2 desc limit 20"
  $ orgtrail query --since 90d --csv "select * exclude raw from audit_events where resource_type = 'zone'" > zones.csv
  $ orgtrail query --ndjson "select raw ->> '$.resource.response.name' as name from audit_events where resource_product = 'dns'"
  $ orgtrail query --json "select date_trunc('month', action_time) as month, count(*) as events from audit_events group by 1 order by 1"`;
