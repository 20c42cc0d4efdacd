#!/usr/bin/env bash
# Builds the image and runs it as locked down as production should: read-only, not root, no capabilities, against a
# real PostgreSQL and the simulator. Leaves nothing behind but Docker's build cache.
#
#   scripts/docker/container.sh            builds the image of this checkout
#   scripts/docker/container.sh IMAGE      checks an image that is there already
#
# Needs a Docker engine that has postgres:17-trixie and the base of the Dockerfile, or the one that NODE_IMAGE names, or can get them. One line per
# check; the last line counts. Exit code 0 when none failed, or when there is no Docker engine.
# shellcheck disable=SC2317 # functions are called through `check` and `within`
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

if ! docker info >/dev/null 2>&1; then
  echo 'skipped: no Docker engine answers'
  exit 0
fi

ENTRIES=10000
HEALTHY_WITHIN=60
COMPLETE_WITHIN=120
STOPS_WITHIN_MS=10000

id="orgtrail-test-$$"
image="${1:-$id}"
token="token-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
password="password-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
version="$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)"

clean_up() {
  docker ps -aq --filter "label=$id" | xargs -r docker rm -f -v >/dev/null 2>&1
  docker network rm "$id" >/dev/null 2>&1
  [ "$image" != "$id" ] || docker image rm "$id" >/dev/null 2>&1
}
# shellcheck source=scripts/checks.sh
source scripts/checks.sh

finds_nothing() {
  local found
  if found="$("$@" 2>&1)" && [ -z "$found" ]; then return 0; fi
  echo "$found"
  return 1
}
holds() { grep -qF -- "$2" <<<"$1" || { echo "no \"$2\" in: $1"; return 1; }; }
lacks() { ! grep -qF -- "$2" <<<"$1" || { echo 'it does'; return 1; }; }

confined=(--read-only --user 1000 --cap-drop ALL --security-opt no-new-privileges)
# one_off ARGUMENT...: a container that ends by itself.
one_off() { timeout 90 docker run --rm --label "$id" "$@"; }
as_root() { one_off --user 0 --network none --entrypoint "$1" "$image" "${@:2}"; }
sql() { docker exec "$id-postgres" psql -h 127.0.0.1 -U orgtrail -tAc "$1"; }
url() { echo "postgres://orgtrail:$1@$2:5432/orgtrail"; }
# fetch URL [EXPRESSION of `text`]: from the simulator's container, so over the network.
fetch() {
  docker exec "$id-simulator" node -e "
    fetch('$1', { signal: AbortSignal.timeout(5000) })
      .then(async (response) => {
        const text = await response.text();
        console.log(${2:-text});
        process.exitCode = response.ok ? 0 : 1;
      })"
}

## The image

build() { docker build -q -t "$id" --build-arg "VERSION=$version" ${NODE_IMAGE:+--build-arg "NODE_IMAGE=$NODE_IMAGE"} .; }
[ "$image" != "$id" ] || needed 'the image builds' build
needed 'the image is there' docker image inspect "$image"
echo "      $(($(docker image inspect -f '{{.Size}}' "$image") / 1000000)) MB, of them /app $(as_root du -sm /app | cut -f1) MB"

check 'holds no PostgreSQL' finds_nothing \
  as_root find / -xdev -type f '(' -name 'postgres*' -o -name 'initdb*' -o -name 'pg_ctl*' ')'
check 'holds one node, and no package manager' same \
  "$(as_root find / -xdev '(' -name node -o -name npm -o -name yarn -o -name corepack ')' '!' -type d)" /usr/local/bin/node
check 'holds no tests, no .env, no lock file' finds_nothing \
  as_root find /app -path /app/node_modules -prune -o '(' -name '*.test.*' -o -name '.env*' -o -name '*lock*.json' ')' -print
packages="$(as_root sh -c 'cd /app/node_modules && echo @*/* [!@]*')"
check 'holds DuckDB for this processor, and no other package' same "${packages/-x64/-arm64}" \
  '@duckdb/node-api @duckdb/node-bindings @duckdb/node-bindings-linux-arm64 detect-libc'
check 'DuckDB loads in it' one_off "${confined[@]}" --entrypoint node "$image" \
  -e "import('/app/node_modules/@duckdb/node-api/lib/index.js').then((duck) => console.log(duck.version()))"
check 'runs as uid 1000 unasked' same "$(one_off --entrypoint node "$image" -p 'process.getuid()')" 1000
check 'its user is a number' holds "$(docker image inspect -f '{{.Config.User}}' "$image")" 1000
check 'its user can write nothing in /app' finds_nothing one_off --entrypoint find "$image" /app -writable
check 'its user can read everything in /app' finds_nothing one_off --entrypoint find "$image" /app '!' -readable
check "is version $version" same "$(one_off "${confined[@]}" "$image" --version)" "$version"
check 'has orgtrail on its path' same "$(one_off "${confined[@]}" --entrypoint orgtrail "$image" --version)" "$version"

## What it runs against

start_all() {
  docker network create "$id" &&
    docker run -d --label "$id" --name "$id-postgres" --network "$id" --network-alias postgres \
      -e POSTGRES_USER=orgtrail -e "POSTGRES_PASSWORD=$password" postgres:17-trixie &&
    docker run -d --label "$id" --name "$id-simulator" --network "$id" --network-alias simulator "${confined[@]}" \
      --no-healthcheck "$image" simulate --host 0.0.0.0 --accounts 1 --entries "$((ENTRIES / 2))" --budget off --token "$token" --faults server_error=0.1
}
simulator=http://simulator:8787
needed 'PostgreSQL and the simulator start' start_all
needed 'PostgreSQL answers' within 60 docker exec "$id-postgres" pg_isready -h 127.0.0.1 -U orgtrail
needed 'the simulator answers' within 60 fetch "$simulator/__simulator/summary"
truth="$(fetch "$simulator/__simulator/summary" 'JSON.parse(text).entries')"
organizations="$(fetch "$simulator/__simulator/summary" 'JSON.parse(text).organizations.length')"
accounts="$(fetch "$simulator/__simulator/summary" 'JSON.parse(text).accounts.length')"

## Bad settings: an exit code, a sentence, no secret

settings=(--network "$id" -e "CLOUDFLARE_BASE_URL=$simulator/client/v4" -e "CLOUDFLARE_API_TOKEN=$token"
  -e 'ORGTRAIL_SOURCES=organizations,accounts')
# refusal WHAT EXIT-CODE SENTENCE ARGUMENT...
refusal() {
  local what="$1" wanted="$2" sentence="$3" output code
  shift 3
  output="$(one_off "${confined[@]}" "${settings[@]}" "$@" 2>&1)"
  code=$?
  check "$what: exits $wanted" same "$code" "$wanted"
  check "$what: says \"$sentence\"" holds "$output" "$sentence"
  check "$what: no credential in it" lacks "$output" "$token"
  check "$what: no password in it" lacks "$output" wrong-password
}
refusal 'check, wrong password' 4 'password authentication failed' \
  -e "DATABASE_URL=$(url wrong-password postgres)" "$image" check
refusal 'check, wrong host' 4 'PostgreSQL at nowhere:5432/orgtrail' \
  -e "DATABASE_URL=$(url wrong-password nowhere)" "$image" check
refusal 'run, no DATABASE_URL' 2 'set DATABASE_URL' "$image" run

## The daemon

daemon="$id-orgtrail"
is_healthy() { docker inspect -f '{{.State.Status}} {{.State.Health.Status}}' "$daemon" | grep -x 'running healthy'; }
gets_healthy() { within "$HEALTHY_WITHIN" is_healthy || { docker logs --tail 20 "$daemon"; return 1; }; }
has_all() { same "$(sql 'select count(*) from audit_events')" "$truth"; }
gets_all() { within "$COMPLETE_WITHIN" has_all || { cat "$log"; docker logs --tail 20 "$daemon"; return 1; }; }
stop_daemon() {
  local what="$1" begun output
  output="$(docker logs "$daemon" 2>&1 | grep -c '"msg":"stopped"')"
  begun="$(date +%s%N)"
  docker stop -t 20 "$daemon" >/dev/null
  local took=$((($(date +%s%N) - begun) / 1000000))
  check "$what: leaves in under $((STOPS_WITHIN_MS / 1000)) s ($took ms)" [ "$took" -lt "$STOPS_WITHIN_MS" ]
  check "$what: exits 143" same "$(docker inspect -f '{{.State.ExitCode}}' "$daemon")" 143
  check "$what: says stopped" same "$(docker logs "$daemon" 2>&1 | grep -c '"msg":"stopped"')" "$((output + 1))"
}

start_daemon() {
  docker run -d --label "$id" --name "$daemon" --network-alias orgtrail "${confined[@]}" "${settings[@]}" \
    -e "DATABASE_URL=$(url "$password" postgres)" -e 'ORGTRAIL_SCHEDULE=*/2 * * * * *' -e ORGTRAIL_API_BUDGET=1000000 \
    -e ORGTRAIL_LOG_LEVEL=trace "$image"
}
needed 'run: starts read-only, without capabilities' start_daemon
needed "run: healthy within $HEALTHY_WITHIN s" gets_healthy
status="$(docker exec "$daemon" cat /proc/1/status)"
check 'run: node is pid 1' same "$(docker exec "$daemon" cat /proc/1/cmdline | tr '\0' ' ')" 'node /app/dist/orgtrail.js run '
check 'run: pid 1 is uid 1000' holds "$status" $'Uid:\t1000\t1000\t1000\t1000'
check 'run: pid 1 has no capability' holds "$status" $'CapEff:\t0000000000000000'
check 'run: pid 1 can gain no privilege' holds "$status" $'NoNewPrivs:\t1'
stop_daemon "docker stop, $(sql 'select count(*) from audit_events') of $truth events stored"

needed 'starts again' docker start "$daemon"
needed "starts again: healthy within $HEALTHY_WITHIN s" gets_healthy
check "stores every event that the simulator has ($truth)" gets_all
check 'stores each of them once' same "$(sql 'select count(distinct (source_kind, source_id, id)) from audit_events')" "$truth"
check 'numbers them without a gap' same "$(sql 'select min(position), max(position) from audit_events')" "1|$truth"
check "knows every organization ($organizations)" same "$(sql 'select count(*) from organizations')" "$organizations"
check "knows every account ($accounts)" same "$(sql 'select count(*) from accounts')" "$accounts"
check '/readyz answers 200 to another container' within 30 fetch http://orgtrail:8080/readyz
check '/metrics shows the position' holds "$(fetch http://orgtrail:8080/metrics)" "orgtrail_feed_position $truth"
check 'docker exec orgtrail status works' docker exec "$daemon" orgtrail status

# What watches health restarts what is unhealthy, and a restart brings no database back.
is_unready() { [ "$(fetch http://orgtrail:8080/readyz 'response.status' 2>&1)" = 503 ]; }
needed 'the database stops' docker stop "$id-postgres"
check 'without a database: /readyz answers 503' within 30 is_unready
check 'without a database: /livez answers 200' fetch http://orgtrail:8080/livez
check 'without a database: still healthy' is_healthy
needed 'the database starts again' docker start "$id-postgres"
check 'with the database again: /readyz answers 200' within 60 fetch http://orgtrail:8080/readyz
check 'never restarted, still healthy' is_healthy
check 'the same events' same "$(sql 'select count(*) from audit_events')" "$truth"
stop_daemon 'docker stop when idle'

output="$(docker logs "$daemon" 2>&1)"
check "its log ($(wc -l <<<"$output") lines, level trace) holds no API token" lacks "$output" "$token"
check 'its log holds no database password' lacks "$output" "$password"
check 'its log holds no stack trace' lacks "$output" 'unexpected error (please report this)'

finish
