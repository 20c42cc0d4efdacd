#!/usr/bin/env bash
# The console in a real Chromium: that of CHROMIUM, or Debian's, which is installed if need be. Called by .ci/run and
# `bash scripts/browser-tests.sh`; arguments go to vitest. Without Chromium, this says so in one line and exits 0.
set -euo pipefail
cd "$(dirname "$0")/.."

export CHROMIUM="${CHROMIUM:-/usr/bin/chromium-headless-shell}"
skip() {
  echo "skipped, the tests of the console in a browser: $1"
  exit 0
}
if [ ! -x "$CHROMIUM" ]; then
  [ "$(id -u)" = 0 ] || skip "there is no $CHROMIUM, and only root may install it"
  command -v apt-get >/dev/null || skip "there is no $CHROMIUM, and no apt-get"
  bash scripts/install/chromium.sh || skip 'Chromium could not be installed'
  [ -x "$CHROMIUM" ] || skip "there is no $CHROMIUM"
fi
exec npx vitest run --project browser "$@"
