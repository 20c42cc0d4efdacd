#!/usr/bin/env bash
# All tests that `npm test` leaves out, for `npm run test:all` and CI: longer ones of the same kinds, trouble with PostgreSQL, all sinks in one
# run, more worlds of the simulation, every alert, and what needs Chromium and Docker, if those are available.
set -euo pipefail
cd "$(dirname "$0")/../.."
npx vitest run --project long --project e2e --project simulation
npm run lab simulation -- --seeds 500 --from 5001
npx vitest run --project trouble
npx vitest run --project sinks
bash test/scripts/browser-tests.sh
npm run lab alerts
bash test/scripts/docker/docker-tests.sh
