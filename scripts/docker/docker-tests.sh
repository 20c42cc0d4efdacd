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

skip() {
  local bar='!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!'
  printf '%s\n!! SKIPPED: all that needs Docker. The image was NOT built and NOT run.\n!! %s\n%s\n' "$bar" "$1" "$bar"
  [ -z "${ORGTRAIL_SKIPS_FILE:-}" ] || echo 'all that needs Docker (the image was not built)' >>"$ORGTRAIL_SKIPS_FILE"
  exit 0
}
answers() { timeout 20 docker info >/dev/null 2>&1; }
has_image() { docker image inspect "$1" >/dev/null 2>&1 || timeout 300 docker pull -q "$1" >/dev/null 2>&1; }
has_images() {
  # The base that the Dockerfile pins; where it cannot be had, what has its tag.
  local pinned
  pinned="$(sed -n 's/^ARG NODE_IMAGE=//p' Dockerfile)"
  if has_image "$pinned"; then NODE_IMAGE="$pinned"; else NODE_IMAGE="${pinned%@*}"; fi
  export NODE_IMAGE
  has_image "$NODE_IMAGE" && has_image postgres:17-trixie
}
is_ready() { answers && has_images; }

if ! is_ready; then
  [ -f "$lab" ] || skip 'no Docker engine answers and has the images, and there is no docker-lab'
  bash "$lab" || skip 'docker-lab could not bring an engine'
  is_ready || skip 'docker-lab brought no engine with the images'
fi

bash scripts/step.sh 'the image in Docker' bash scripts/docker/container.sh
bash scripts/step.sh 'the stack of deploy/compose in Docker' bash scripts/docker/compose.sh
# Ryuk, which removes what a killed run leaves behind, is an image of its own that need not be here.
TESTCONTAINERS_RYUK_DISABLED="${TESTCONTAINERS_RYUK_DISABLED:-true}" TEST_POSTGRES=container bash scripts/server-tests.sh
