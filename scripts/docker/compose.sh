#!/usr/bin/env bash
# deploy/compose as a whole: built, brought up with the simulator instead of Cloudflare, archived into its bucket, watched by a real Prometheus with
# the configuration and the rules of deploy/prometheus, and asked every query of the Grafana dashboards. Leaves nothing
# behind but Docker's build cache.
#
#   scripts/docker/compose.sh
#
# Without the images of Prometheus and Grafana, which need not be here: Prometheus is Debian's, on this machine (without it
# those checks are left out, with a line that says so), and of Grafana the files are checked (test/deploy/monitoring.test.ts).
# Linux, where containers can be reached by their addresses. One line per check; the last line counts. Exit code 0 when
# none failed, or when there is no Docker engine.
# shellcheck disable=SC2317 # functions are called through `check` and `within`
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# The development dependency `node`, where this was not started by npm.
export PATH="$PWD/node_modules/.bin:$PATH"

if ! docker compose version >/dev/null 2>&1 || ! docker info >/dev/null 2>&1; then
  echo 'skipped, the stack of deploy/compose: no Docker engine with compose answers'
  exit 0
fi

HEALTHY_WITHIN=180
COMPLETE_WITHIN=120
# Two scrapes and two evaluations, and the first window of a rate.
WATCHED_WITHIN=120

id="orgtrail-compose-$$"
prometheus_pid=
clean_up() {
  [ -z "$prometheus_pid" ] || kill "$prometheus_pid" 2>/dev/null
  "${compose[@]}" --profile '*' down -v --rmi local --timeout 5 >/dev/null 2>&1
  docker image rm "$id" "$id-bucket" >/dev/null 2>&1
}
# shellcheck source=scripts/checks.sh
source scripts/checks.sh

# The secrets of this run, not those of the owner of this checkout.
cp -r deploy/compose "$work/compose"
rm -rf "$work/compose/secrets"
compose=(docker compose --project-name "$id" --project-directory "$work/compose" --env-file deploy/compose/simulator.env
  -f "$work/compose/compose.yaml" -f "$work/override.yaml")

logs() { "${compose[@]}" logs --no-color --tail 40; }

needed 'make-secrets.sh makes them' bash "$work/compose/make-secrets.sh"
check 'make-secrets.sh leaves alone what is there' same "$(bash "$work/compose/make-secrets.sh" | wc -l)" 0

# What this run needs to be different: the images have names of their own, ports are free ones, the build is of this
# checkout, no more entries come, so that all of them can be counted; and a stand-in for the image of PostgreSQL may not
# know POSTGRES_PASSWORD_FILE.
export COMPOSE_PROFILES=simulator ORGTRAIL_IMAGE="$id" ORGTRAIL_PORT=0
export ORGTRAIL_SIMULATE='--organizations 6 --accounts 2 --entries 10000 --budget off'
cat >"$work/override.yaml" <<YAML
services:
  postgres: { environment: { POSTGRES_PASSWORD_FILE: !reset null, POSTGRES_PASSWORD: "$(cat "$work/compose/secrets/owner_password")" } }
  migrate: { build: { context: "$PWD" } }
  orgtrail: { build: { context: "$PWD" } }
  simulator: { build: { context: "$PWD" } }
YAML
everything() { COMPOSE_PROFILES=simulator,monitoring "${compose[@]}" config -q; }
needed 'the compose file is valid with all profiles' everything
base=(${NODE_IMAGE:+--build-arg "NODE_IMAGE=$NODE_IMAGE"})
needed 'the image builds' "${compose[@]}" build -q "${base[@]}" orgtrail

up() { "${compose[@]}" up -d --no-build --wait --wait-timeout "$HEALTHY_WITHIN" || { logs; return 1; }; }
started=$SECONDS
needed "docker compose up is healthy within $HEALTHY_WITHIN s" up
echo "      after $((SECONDS - started)) s"

container() { "${compose[@]}" ps -q "$1"; }
address() {
  docker inspect -f "{{(index .NetworkSettings.Networks \"${id}_$2\").IPAddress}}" "$(container "$1")"
}
sql() { "${compose[@]}" exec -T postgres psql -U orgtrail -tAc "$1"; }
simulated() {
  "${compose[@]}" exec -T simulator node -e "fetch('http://127.0.0.1:8787/__simulator/summary')
    .then((response) => response.json()).then((summary) => console.log(summary.$1))"
}
orgtrail="http://$(address orgtrail default):8080"
truth="$(simulated entries)"
has_all() { same "$(sql 'select count(*) from audit_events')" "$truth"; }
check "stores every event that the simulator has ($truth)" within "$COMPLETE_WITHIN" has_all
check 'numbers them without a gap' same "$(sql 'select min(position), max(position) from audit_events')" "1|$truth"
check 'knows every organization' same "$(sql 'select count(*) from organizations')" "$(simulated organizations.length)"
check 'knows every account' same "$(sql 'select count(*) from accounts')" "$(simulated accounts.length)"
check '/readyz answers 200' within 30 curl -fsS "$orgtrail/readyz"
published="$("${compose[@]}" port orgtrail 8080)"
check "its port is published on loopback ($published)" curl -fsS "http://$published/livez"
check 'the port is of loopback alone' same "${published%:*}" 127.0.0.1
refused() { same "$(curl -s -o /dev/null -w '%{http_code}' "$@")" 401; }
check 'the feed requires its token' refused "$orgtrail/v1/events"
check 'the feed opens by the token of secrets/feed_token' curl -fsS -o /dev/null \
  -H "Authorization: Bearer $(cat "$work/compose/secrets/feed_token")" "$orgtrail/v1/events?limit=1"
check 'orgtrail status works inside' "${compose[@]}" exec -T orgtrail orgtrail status
check 'orgtrail check finds everything in place' "${compose[@]}" exec -T orgtrail orgtrail check

confined() {
  local of
  for of in orgtrail simulator postgres; do
    same "$of $(docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' "$(container "$of")")" \
      "$of true [ALL] [no-new-privileges:true]" || return 1
  done
}
check 'all of them are read-only, without capabilities and new privileges' confined
may_not() { ! sql "set role orgtrail_daemon; $1" >/dev/null 2>&1; }
check 'the daemon may not delete events' may_not 'delete from audit_events'
check 'the daemon may not change the schema' may_not 'create table mine (id int)'
lacks_secrets() {
  local secret output
  output="$("${compose[@]}" logs --no-color orgtrail migrate simulator; docker inspect "$(container orgtrail)")"
  for secret in owner_password daemon_password reader_password feed_token; do
    ! grep -qF -- "$(cat "$work/compose/secrets/$secret")" <<<"$output" || { echo "$secret shows"; return 1; }
  done
}
check 'no secret shows in the logs or in docker inspect' lacks_secrets

## The recipe of docs/operations/backup.md

backup() { "${compose[@]}" exec -T postgres pg_dump -U orgtrail -Fc orgtrail >"$work/orgtrail.dump"; }
restore() {
  "${compose[@]}" exec -T postgres createdb -U orgtrail restored &&
    "${compose[@]}" exec -T postgres pg_restore -U orgtrail -d restored --exit-on-error <"$work/orgtrail.dump"
}
in_restored() { "${compose[@]}" exec -T postgres psql -U orgtrail -d restored -tAc "$1"; }
same_in_both() { same "$(in_restored "$1")" "$(sql "$1")"; }
check 'a backup with pg_dump' backup
check 'is restored with pg_restore' restore
check 'with the same events, to the byte' same_in_both \
  "select count(*), max(position), md5(string_agg(raw::text, ',' order by position)) from audit_events"
check 'with the same feed id and position' same_in_both 'select feed_id, position from feed_head'
check 'with coverage of each organization' same_in_both 'select count(*), bool_and(not isempty(ranges)) from coverage where pass = 0'
may_not_restored() { ! in_restored "set role orgtrail_daemon; delete from audit_events" >/dev/null 2>&1; }
check 'and with the rights' may_not_restored
new_feed() {
  in_restored 'update feed_head set feed_id = gen_random_uuid()' &&
    [ "$(in_restored 'select feed_id from feed_head')" != "$(sql 'select feed_id from feed_head')" ]
}
check 'a copy can be given a feed id of its own' new_feed

## The archive, in a bucket of its own

# shellcheck source=scripts/docker/compose-archive.sh
source scripts/docker/compose-archive.sh

## Grafana's queries of the history, as its account

reader="postgres://orgtrail_grafana:$(cat "$work/compose/secrets/reader_password")@$(address postgres database):5432/orgtrail"
check 'every SQL query of the dashboards runs as orgtrail_grafana, which may only read' node scripts/docker/compose-checks.ts sql "$reader"

## Prometheus, with the configuration of deploy/prometheus: only the target is named by its address

if ! command -v prometheus >/dev/null; then
  echo 'skipped, what Prometheus sees: it is not installed (Debian: apt-get install prometheus)'
  finish
fi
cp deploy/prometheus/rules.yml "$work/rules.yml"
sed "s|\"orgtrail:8080\"|\"${orgtrail#http://}\"|" deploy/prometheus/prometheus.yml >"$work/prometheus.yml"
check 'promtool finds no fault in the configuration' promtool check config "$work/prometheus.yml"
port="$(node -e "const server = require('node:net').createServer().listen(0, '127.0.0.1', () => server.close(console.log(server.address().port)))")"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$port" \
  --log.level=error >"$work/prometheus.log" 2>&1 &
prometheus_pid=$!
url="http://127.0.0.1:$port"
is_up() { curl -fsS "$url/api/v1/query?query=up" | grep -q '"job":"orgtrail"},"value":\[[0-9.]*,"1"\]'; }
needed 'Prometheus scrapes it' within 60 is_up
# Once a rate has its second sample, the recorded ones have values.
check 'what is recorded has values' within "$WATCHED_WITHIN" sh -c \
  "curl -fsS '$url/api/v1/query?query=job:orgtrail_events_stored:rate5m' | grep -q '\"value\":'"
check 'every rule evaluates without error, and no alert fires or is pending' node scripts/docker/compose-checks.ts rules "$url"
check 'every PromQL query of the dashboards answers' node scripts/docker/compose-checks.ts promql "$url"

stop() { "${compose[@]}" stop orgtrail; }
check 'docker compose stop' stop
check 'it left with exit code 143' same "$(docker inspect -f '{{.State.ExitCode}}' "$("${compose[@]}" ps -aq orgtrail)")" 143
finish
