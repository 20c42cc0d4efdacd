#!/usr/bin/env bash
# Makes what a release has as files: the package, the bill of materials of the bundle, and their SHA-256.
#
#   scripts/release/package.sh FOLDER
set -euo pipefail
folder="$(mkdir -p "$1" && cd "$1" && pwd)"
cd "$(dirname "$0")/../.."
npm pack --silent --pack-destination "$folder"
npm run --silent sbom -- "$folder"
(cd "$folder" && sha256sum -- orgtrail-* | tee SHA256SUMS)
