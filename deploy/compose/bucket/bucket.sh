#!/usr/bin/env bash
# Serves the bucket `orgtrail` on port 7480, for the keys in the secrets archive_access_key and archive_secret_key. The user is made
# once: other keys need another volume. Only radosgw-admin takes the keys as arguments, which root on this machine can see meanwhile.
set -euo pipefail

data=/var/lib/bucket
settings=/tmp/ceph.conf
access_key="$(cat /run/secrets/archive_access_key)"
secret_key="$(cat /run/secrets/archive_secret_key)"
common=(-c "$settings" -n client.rgw --no-mon-config)

cat >"$settings" <<CONF
[global]
run_dir = /tmp
log_file =
log_to_stderr = true
rgw_data = $data
rgw_backend_store = dbstore
dbstore_db_dir = $data
rgw_config_store = dbstore
dbstore_config_uri = file:$data/config.db
rgw_frontends = beast port=7480
CONF

# radosgw-admin sometimes does not end once it has printed all: the last name in what it prints says that it has.
make_user() {
  radosgw-admin "${common[@]}" user create --uid=orgtrail --display-name=orgtrail \
    --access-key="$access_key" --secret-key="$secret_key" >/tmp/user 2>/tmp/user-errors &
  local admin=$!
  while kill -0 "$admin" 2>/dev/null && ! grep -q '"mfa_ids"' /tmp/user; do sleep 0.1; done
  kill -9 "$admin" 2>/dev/null || true
  grep -q '"mfa_ids"' /tmp/user || { cat /tmp/user-errors >&2; return 1; }
}
if [ ! -e "$data/.made" ]; then
  make_user
  touch "$data/.made"
fi

# Beside the gateway, which becomes the process of the container: makes the bucket once it answers. Making it again changes nothing.
(
  until curl -sS -o /dev/null http://127.0.0.1:7480/ 2>/dev/null; do sleep 0.2; done
  # The keys by the standard input, not as an argument.
  printf 'user = "%s:%s"\n' "$access_key" "$secret_key" |
    curl -fsS --config - --aws-sigv4 aws:amz:us-east-1:s3 --request PUT http://127.0.0.1:7480/orgtrail
) &

exec radosgw "${common[@]}" -f
