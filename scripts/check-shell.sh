#!/usr/bin/env bash
# `npm run check`: shellcheck over every shell script. npm has no shellcheck without a download: scripts/install/deploy-tools.sh gets Debian's.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v shellcheck >/dev/null || { echo 'skipped, shell scripts: shellcheck is not installed'; exit 0; }
git ls-files -z --cached --others --exclude-standard '*.sh' .ci/run | xargs -0 shellcheck
