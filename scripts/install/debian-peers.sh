#!/usr/bin/env bash
# Gets from Debian what some tests run beside orgtrail: pgbouncer, rsyslog, syslog-ng, what reads OTLP and a Kafka cluster. Does nothing where they are there.
# Needs root and a Debian or Ubuntu; starts no service.
set -euo pipefail

# Debian lets no machine have two syslog daemons, and whether it has one is none of our business: they are unpacked, not installed.
unpacked=/opt/orgtrail-peers

# One installer at a time: apt-get update does not wait for another one.
exec 9>/var/lock/orgtrail-apt.lock
flock 9

install=()
unpack=()
command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || install+=(pgbouncer)
[ -d /usr/lib/python3/dist-packages/opentelemetry/proto ] || install+=(python3-opentelemetry-proto)
[ -d /usr/lib/python3/dist-packages/confluent_kafka ] || install+=(python3-confluent-kafka)
[ -x "$unpacked/usr/sbin/rsyslogd" ] || unpack+=(rsyslog rsyslog-gnutls rsyslog-openssl)
[ -x "$unpacked/usr/sbin/syslog-ng" ] || unpack+=(syslog-ng-core)
[ "${#install[@]}" -gt 0 ] || [ "${#unpack[@]}" -gt 0 ] || exit 0

# Packages of services start them, unless this file says no.
policy=/usr/sbin/policy-rc.d
made_policy=
downloads=$(mktemp -d)
cleanup() {
  rm -rf "$downloads"
  [ -z "$made_policy" ] || rm -f "$policy"
}
trap cleanup EXIT
if [ ! -e "$policy" ]; then
  made_policy=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
if [ "${#unpack[@]}" -gt 0 ]; then
  # The libraries of what is unpacked are installed as usual.
  mapfile -t libraries < <(apt-cache depends --no-recommends "${unpack[@]}" | awk '$1 == "Depends:" && $2 ~ /^lib/ { print $2 }' | sort -u)
  install+=("${libraries[@]}")
  (cd "$downloads" && apt-get download -qq -o APT::Sandbox::User=root "${unpack[@]}")
fi
apt-get install -y -qq --no-install-recommends --no-upgrade "${install[@]}"
if [ "${#unpack[@]}" -gt 0 ]; then
  mkdir -p "$unpacked"
  for package in "$downloads"/*.deb; do dpkg-deb -x "$package" "$unpacked"; done
fi
