#!/usr/bin/env bash
# Builds litewitness, a witness of c2sp.org/tlog-witness, from Debian's source package, for test/long/evidence/litewitness.test.ts.
# Debian's own binary (0.4.3-3) panics at the first checkpoint that it accepts: its SQLite library takes no array. So one line is mended.
# Does nothing if the programs are there already; if they cannot be built it says so in a line, and the test is skipped.
set -euo pipefail

folder=/usr/local/lib/orgtrail-litewitness
[ ! -x "$folder/litewitness" ] || [ ! -x "$folder/witnessctl" ] || exit 0
skip() {
  echo "not built: litewitness ($1); the test that needs it is skipped"
  exit 0
}
[ "$(id -u)" = 0 ] || skip 'only root may'
command -v apt-get >/dev/null || skip 'no apt-get'
for tool in go gcc ssh-agent; do command -v "$tool" >/dev/null || skip "no $tool"; done

# What it is built of, without the hundred packages that the source package depends on for other programs.
packages=(
  golang-github-filosottile-litetlog-dev golang-github-go-llsqlite-crawshaw-dev golang-github-anacrolix-chansync-dev
  golang-github-anacrolix-sync-dev golang-github-anacrolix-missinggo-dev golang-github-huandu-xstrings-dev
  golang-golang-x-crypto-dev golang-golang-x-mod-dev golang-golang-x-net-dev golang-golang-x-sys-dev golang-golang-x-text-dev
  golang-sigsum-sigsum-go-dev
)
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "${packages[@]}" >/dev/null 2>&1 || skip 'apt-get could not get its source'
for file in *.deb; do dpkg -x "$file" tree; done

witness=tree/usr/share/gocode/src/filippo.io/litetlog/internal/witness/witness.go
sed -i 's/nil, newSize, newHash, origin, oldSize)/nil, newSize, newHash.String(), origin, oldSize)/' "$witness"
mkdir -p "$folder"
for program in litewitness witnessctl; do
  GO111MODULE=off GOFLAGS='' GOPATH="$work/tree/usr/share/gocode" go build -trimpath -o "$folder/$program" "filippo.io/litetlog/cmd/$program" \
    >build.log 2>&1 || skip "go build has failed: $(head -n 1 build.log)"
done
