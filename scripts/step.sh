#!/usr/bin/env bash
# Runs one step of CI and says how long it took, also to the folder that TEST_CLOCK names: step.sh NAME COMMAND [ARGUMENT…]
set -uo pipefail
name="$1"
shift
"$@"
status=$?
printf '%s took %d s\n' "$name" "$SECONDS"
[ -z "${TEST_CLOCK:-}" ] || printf '%s\t%d\n' "$name" "$SECONDS" >>"$TEST_CLOCK/steps.tsv"
exit "$status"
