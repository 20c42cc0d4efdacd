#!/usr/bin/env bash
# Signs an image by its digest, and the bill of materials of the bundle as an attestation of it. By the identity of the workflow that runs it, or
# with the options of cosign that come last (scripts/release/try.sh has a key).
#
#   scripts/release/sign.sh IMAGE@DIGEST BILL-OF-MATERIALS [OPTION...]
set -euo pipefail
image="$1"
[[ "$image" =~ @sha256:[0-9a-f]{64}$ ]] || { echo "release: $image has no digest; a tag may move" >&2; exit 1; }
cosign sign --yes "${@:3}" "$image"
cosign attest --yes --type cyclonedx --predicate "$2" "${@:3}" "$image"
