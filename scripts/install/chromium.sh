#!/usr/bin/env bash
# Gets Chromium's headless shell from Debian, for the tests and the screenshots of the console: the same engine as Chromium, for half the CPU.
# Does nothing where it is there. Needs root.
set -euo pipefail
[ ! -x /usr/bin/chromium-headless-shell ] || exit 0
exec 9>/var/lock/orgtrail-apt.lock
flock 9
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends chromium-headless-shell fonts-liberation
