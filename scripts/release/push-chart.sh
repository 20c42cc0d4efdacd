#!/usr/bin/env bash
# Pushes the packed chart to a registry and signs it by its digest, by the identity of the workflow that runs it.
#
#   scripts/release/push-chart.sh CHART.tgz REGISTRY/PATH
set -euo pipefail
digest="$(helm push "$1" "oci://$2" 2>&1 | tee /dev/stderr | sed -n 's/^Digest: //p')"
cosign sign --yes "$2/orgtrail@$digest"
