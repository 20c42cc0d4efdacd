#!/usr/bin/env bash
# Installs from Debian what some tests run beside orgtrail: pgbouncer. Does nothing where it is there already.
# Needs root and a Debian or Ubuntu; starts no service.
set -euo pipefail

peers=()
command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || peers+=(pgbouncer)
[ "${#peers[@]}" -gt 0 ] || exit 0

# Packages of services start them, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${peers[@]}"
