#!/usr/bin/env bash
# Gets from Debian what checks deploy/: prometheus (with promtool), kustomize and systemd-analyze; shellcheck, for `npm run check`; and Go with what
# Helm and Terraform are made of (sprig, sigs.k8s.io/yaml, hcl); libfaketime, which moves clocks; and moto and radosgw, the storages that S3 is tested on. Does nothing where they are there, starts no service, and if they are not available says so in a line: tests
# that need them are then skipped.
set -euo pipefail

install=()
command -v prometheus >/dev/null && command -v promtool >/dev/null || install+=(prometheus)
command -v kustomize >/dev/null || install+=(kustomize)
command -v shellcheck >/dev/null || install+=(shellcheck)
command -v systemd-analyze >/dev/null || install+=(systemd)
command -v go >/dev/null || install+=(golang-go)
[ -d /usr/share/gocode/src/github.com/Masterminds/sprig ] || install+=(golang-github-masterminds-sprig-dev)
[ -d /usr/share/gocode/src/sigs.k8s.io/yaml ] || install+=(golang-k8s-sigs-yaml-dev)
[ -d /usr/share/gocode/src/github.com/hashicorp/hcl/v2 ] || install+=(golang-github-hashicorp-hcl-v2-dev)
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || install+=(libfaketime)
[ -x /usr/bin/radosgw ] || install+=(radosgw)
/usr/bin/python3 -c 'import moto.server, flask_cors, boto3' 2>/dev/null || install+=(python3-moto python3-flask python3-flask-cors)
[ "${#install[@]}" -gt 0 ] || exit 0
skip() {
  echo "not installed: ${install[*]} ($1); the tests that need them are skipped"
  exit 0
}
[ "$(id -u)" = 0 ] || skip 'only root may'
command -v apt-get >/dev/null || skip 'no apt-get'

# Packages of services start them, unless this file says no.
policy=/usr/sbin/policy-rc.d
made_policy=
cleanup() { [ -z "$made_policy" ] || rm -f "$policy"; }
trap cleanup EXIT
if [ ! -e "$policy" ]; then
  made_policy=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
for name in "${install[@]}"; do
  # One by one: not every release has all of them.
  { apt-get -o DPkg::Lock::Timeout=300 update -qq && apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$name"; } \
    >/dev/null 2>&1 || echo "not installed: $name (apt-get could not); the tests that need it are skipped"
done
