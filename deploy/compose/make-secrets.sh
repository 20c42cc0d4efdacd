#!/usr/bin/env bash
# Makes the secrets of compose.yaml that are not there yet, as files in ./secrets, from random numbers. Never changes one
# that is there. The credential for Cloudflare is yours: put it into secrets/cloudflare_api_token.
set -euo pipefail
cd "$(dirname "$0")"

# Compose mounts each file as it is, and the containers read them as users of their own: so the files can be read by all,
# and only you may enter the directory.
mkdir -p secrets
chmod 700 secrets
umask 022

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
make() {
  [ ! -e "secrets/$1" ] || return 0
  printf '%s\n' "$2" >"secrets/$1"
  echo "made secrets/$1"
}
for name in owner_password daemon_password reader_password feed_token grafana_admin_password; do make "$name" "$(random)"; done
# Plain text is meant: the network `database` is of these containers alone.
make owner_url "postgres://orgtrail:$(cat secrets/owner_password)@postgres:5432/orgtrail?sslmode=disable"
make daemon_url "postgres://orgtrail_daemon:$(cat secrets/daemon_password)@postgres:5432/orgtrail?sslmode=disable"
# Of the bucket that archive.yaml brings to try it. For a bucket of yours, put its keys into these files.
for name in archive_access_key archive_secret_key; do make "$name" "$(random)"; done
make cloudflare_api_token replace-me-by-your-API-token
