#!/usr/bin/env bash
# Runs once, when the database is made: the accounts of the daemon and of those who only read. What the two groups may do is
# given to them by `orgtrail migrate --roles`.
set -euo pipefail
# Passwords by the environment, not by arguments, which others on the machine can see.
DAEMON_PASSWORD="$(cat /run/secrets/daemon_password)" READER_PASSWORD="$(cat /run/secrets/reader_password)" \
  psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
\getenv daemon_password DAEMON_PASSWORD
\getenv reader_password READER_PASSWORD
create role orgtrail_ingest nologin;
create role orgtrail_reader nologin;
create role orgtrail_daemon login password :'daemon_password' in role orgtrail_ingest;
create role orgtrail_grafana login password :'reader_password' in role orgtrail_reader;
alter role orgtrail_grafana set statement_timeout = '30s';
alter role orgtrail_grafana set default_transaction_read_only = on;
SQL
