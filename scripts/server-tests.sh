#!/usr/bin/env bash
# The tests of what speaks to the catalogue, the planner or the locks of the server, which differ between versions of PostgreSQL: on the server of
# TEST_DATABASE_URL or TEST_POSTGRES. All else has run on the embedded one, as have tests that start servers of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
exec npx vitest run \
  test/integration/commit/ \
  test/integration/postgres/{publication,refused-by-database,schema}.test.ts \
  test/integration/feed/lost-commits.test.ts \
  test/long/commit/partitions.test.ts \
  test/long/history/{explain,search-index}.test.ts \
  test/long/postgres/{baseline,migrate,online-index}.test.ts \
  test/long/retention/ \
  test/long/search/search-plan.test.ts
