#!/usr/bin/env bash
# Runs once, when the database is made: the account of the daemon, which can neither change the schema nor change or delete an event.
# The rights of its group are given by `orgtrail migrate --roles`.
set -euo pipefail
# The password by the environment, not by an argument, which others on the machine can see.
DAEMON_PASSWORD="$(cat /run/secrets/postgres/daemon-password)" \
  psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
\getenv daemon_password DAEMON_PASSWORD
create role orgtrail_ingest nologin;
create role orgtrail_reader nologin;
create role orgtrail_daemon login password :'daemon_password' in role orgtrail_ingest;
SQL
