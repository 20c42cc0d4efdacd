#!/usr/bin/env bash
# All tests that `npm test` leaves out, for `npm run test:all` and CI: longer ones of the same kinds, trouble with PostgreSQL, all sinks in one
# run, more worlds of the simulation, every alert, and what needs Chromium and Docker, if those are available.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { bash scripts/step.sh "$@"; }
step 'long, e2e, simulation' npx vitest run --project long --project e2e --project simulation
step 'more seeds' npm run lab simulation -- --seeds 500 --from 5001
step trouble npx vitest run --project trouble
step sinks npx vitest run --project sinks
step browser bash scripts/browser-tests.sh
step alerts npm run lab alerts
step Docker bash scripts/docker/docker-tests.sh
