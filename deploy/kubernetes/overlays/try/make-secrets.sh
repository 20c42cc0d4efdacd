#!/usr/bin/env bash
# Makes the secrets of this overlay that are not there yet, as files in ./secrets. Never changes one that is there.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# Without a newline at the end: PostgreSQL's image would take it as a part of the password.
make() {
  [ ! -e "secrets/$1" ] || return 0
  printf '%s' "$2" >"secrets/$1"
  echo "made secrets/$1"
}
for name in postgres-password daemon-password feed-token; do make "$name" "$(random)"; done
# Plain text is meant: the server has no certificate, and the NetworkPolicy lets nothing else in.
make owner-url "postgres://orgtrail:$(cat secrets/postgres-password)@postgres:5432/orgtrail?sslmode=disable"
make database-url "postgres://orgtrail_daemon:$(cat secrets/daemon-password)@postgres:5432/orgtrail?sslmode=disable"
make cloudflare-api-token replace-me-by-your-API-token
