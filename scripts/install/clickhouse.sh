#!/usr/bin/env bash
# Gets ClickHouse as a library (chdb, 550 MB), with which test/long/archive/lake.test.ts reads the Iceberg table. Too large for a development
# dependency. Does nothing if it is there; if it cannot be had it says so in a line, and the test is skipped.
set -euo pipefail

folder=/usr/local/lib/orgtrail-chdb
[ ! -d "$folder/node_modules/chdb" ] || exit 0
skip() {
  echo "not installed: ClickHouse ($1); the test that needs it is skipped"
  exit 0
}
command -v npm >/dev/null || skip 'no npm'
mkdir -p "$folder" 2>/dev/null || skip "$folder cannot be made"
cd "$folder"
npm install --silent --no-audit --no-fund --prefix "$folder" chdb@3.4.0 >/dev/null 2>&1 || skip 'npm could not get it'
