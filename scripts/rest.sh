#!/usr/bin/env bash
# All tests that `npm test` leaves out, for `npm run test:all` and CI: longer ones of the same kinds, trouble with PostgreSQL, all sinks in one
# run, the simulation, every alert, and what needs Chromium and Docker, if those are available.
# What mostly waits runs beside what computes, which gets what the others leave (nice). No more at once: a test that waits for a slow machine ticks
# and polls meanwhile, which makes it slower. A failed step stops no other one; the ends of
# those that failed come last.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
outputs="$(mktemp -d)"
trap 'rm -rf "$outputs"' EXIT
trap 'trap - INT TERM; kill 0' INT TERM
step() {
  bash scripts/step.sh "$@" 2>&1 | tee "$outputs/$1"
  [ "${PIPESTATUS[0]}" = 0 ] || mv "$outputs/$1" "$outputs/$1.failed"
}
{
  step trouble npx vitest run --project trouble
  step sinks npx vitest run --project sinks
  step alerts npm run lab alerts
  step Docker bash scripts/docker/docker-tests.sh
} &
step 'long, simulation' nice -n 10 npx vitest run --project long --project simulation &
step e2e npx vitest run --project e2e
step browser bash scripts/browser-tests.sh
wait
! grep -h 'retry x' "$outputs"/* || echo 'These passed when they were repeated: a busy machine, or a fault that is not always there.'
shopt -s nullglob
failed=("$outputs"/*.failed)
for output in "${failed[@]}"; do
  printf '\nfailed: %s\n' "$(basename "$output" .failed)"
  tail -n 80 "$output"
done
[ "${#failed[@]}" -eq 0 ]
