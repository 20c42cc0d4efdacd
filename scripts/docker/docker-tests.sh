#!/usr/bin/env bash
# All that needs Docker: the image, built and run locked down against a PostgreSQL container (container.sh), the stack of
# deploy/compose (compose.sh), and the tests of what the server does, on a PostgreSQL that testcontainers starts. Called by rest.sh.
#
# Where no Docker engine answers or has the images, ../shared/docker-lab/up brings both, if it is there. Where there is
# none, this says so loudly, adds a line to the file that ORGTRAIL_SKIPS_FILE names, and exits 0; once there is one, what
# fails here fails.
set -euo pipefail
cd "$(dirname "$0")/../.."

lab=../shared/docker-lab/up
images=(node:24-trixie-slim postgres:17-trixie)

skip() {
  local bar='!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!'
  printf '%s\n!! SKIPPED: all that needs Docker. The image was NOT built and NOT run.\n!! %s\n%s\n' "$bar" "$1" "$bar"
  [ -z "${ORGTRAIL_SKIPS_FILE:-}" ] || echo 'all that needs Docker (the image was not built)' >>"$ORGTRAIL_SKIPS_FILE"
  exit 0
}
answers() { timeout 20 docker info >/dev/null 2>&1; }
has_images() {
  local image
  for image in "${images[@]}"; do
    docker image inspect "$image" >/dev/null 2>&1 || timeout 300 docker pull -q "$image" >/dev/null 2>&1 || return 1
  done
}
is_ready() { answers && has_images; }

if ! is_ready; then
  [ -f "$lab" ] || skip 'no Docker engine answers and has the images, and there is no docker-lab'
  bash "$lab" || skip 'docker-lab could not bring an engine'
  is_ready || skip 'docker-lab brought no engine with the images'
fi

bash scripts/step.sh 'the image in Docker' bash scripts/docker/container.sh
bash scripts/step.sh 'the stack of deploy/compose in Docker' bash scripts/docker/compose.sh
# What speaks to the catalogue, the planner or the locks of the server, which differ between versions. All else has run on the embedded server,
# as have tests that start servers of their own.
on_server=(
  test/integration/commit/
  test/integration/postgres/{publication,refused-by-database,schema}.test.ts
  test/integration/feed/lost-commits.test.ts
  test/long/commit/partitions.test.ts
  test/long/history/{explain,search-index}.test.ts
  test/long/postgres/{baseline,migrate,online-index}.test.ts
  test/long/retention/
  test/long/search/search-plan.test.ts
)
# Ryuk, which removes what a killed run leaves behind, is an image of its own that need not be here.
TESTCONTAINERS_RYUK_DISABLED="${TESTCONTAINERS_RYUK_DISABLED:-true}" TEST_POSTGRES=container npx vitest run "${on_server[@]}"
