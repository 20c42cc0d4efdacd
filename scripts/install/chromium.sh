#!/usr/bin/env bash
# Gets Chromium from Debian, for the tests and the screenshots of the console. Does nothing where it is there. Needs root.
set -euo pipefail
[ ! -x /usr/bin/chromium ] || exit 0
exec 9>/var/lock/orgtrail-apt.lock
flock 9
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends chromium fonts-liberation
