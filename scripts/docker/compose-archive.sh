# The archive of deploy/compose: months go into the bucket that archive.yaml brings, leave the database, and come back through the
# feed. Sourced by compose.sh once all events are stored: brings the stack up again with archive.yaml, and leaves it so.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # variables are those of compose.sh; functions are called through `check`

ARCHIVED_WITHIN=300

in_orgtrail() { "${compose[@]}" exec -T orgtrail orgtrail "$@"; }
feed() { in_orgtrail feed; }
feed >"$work/feed-before"

compose+=(-f "$work/compose/archive.yaml")
export COMPOSE_PROFILES=simulator,bucket BUCKET_IMAGE="$id-bucket"
ORGTRAIL_ARCHIVE="$(sed -n 's/^ORGTRAIL_ARCHIVE=//p' deploy/compose/bucket.env)"
# The shortest that may be: the last delay of ORGTRAIL_SETTLE is 30 days.
export ORGTRAIL_ARCHIVE ORGTRAIL_RETENTION=31d
needed 'the bucket builds' "${compose[@]}" build -q "${base[@]}" bucket
needed 'with archive.yaml all of them are healthy' up
orgtrail="http://$(address orgtrail default):8080"

check 'the bucket is read-only, without capabilities and new privileges, and not root' same \
  "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.Config.User}}' "$(container bucket)")" \
  'true [ALL] [no-new-privileges:true] 1000:1000'
check 'no port of the bucket is published' same "$(docker port "$(container bucket)")" ''
# The daemon does that by itself as well; a reader of the table at that moment makes it wait for ten minutes.
old_months="select count(distinct date_trunc('month', action_time)) from audit_events where action_time < date_trunc('month', now() - interval '32 days')"
archived() {
  in_orgtrail archive run --drop && same "$(sql "$old_months")" 0 &&
    same "$(sql 'select count(*) > 0 and bool_and(dropped_at is not null) from archive_objects')" t
}
check 'every month that is old enough is in the bucket, and leaves the database' within "$ARCHIVED_WITHIN" archived
gone="$(sql 'select sum(events) from archive_objects')"
echo "      $gone events in $(sql 'select count(*) from archive_objects') objects"
check 'the database has the others' same "$(sql 'select count(*) from audit_events')" "$((truth - gone))"
verified() { in_orgtrail archive verify --contents; }
check 'archive verify --contents finds all as it was written' verified
feed >"$work/feed-after"
check 'the feed gives all events as before, to the byte' cmp "$work/feed-before" "$work/feed-after"
over_http() {
  curl -fsS -H "Authorization: Bearer $(cat "$work/compose/secrets/feed_token")" "$orgtrail/v1/events?limit=1000" >"$work/feed-http" &&
    head -n 1000 "$work/feed-before" | cmp - "$work/feed-http"
}
check 'over HTTP as well' over_http
check 'nothing is left in the directory for the object in hand' same "$("${compose[@]}" exec -T orgtrail ls /tmp)" ''
restarted() { "${compose[@]}" restart bucket && within 60 verified; }
check 'the bucket has it after a restart' restarted
lacks_keys() {
  local secret output
  output="$("${compose[@]}" logs --no-color orgtrail bucket; docker inspect "$(container orgtrail)" "$(container bucket)")"
  secret="$(cat "$work/compose/secrets/archive_secret_key")"
  ! grep -qF -- "$secret" <<<"$output" || { echo 'archive_secret_key shows'; return 1; }
}
check 'its secret key shows neither in the logs nor in docker inspect' lacks_keys
