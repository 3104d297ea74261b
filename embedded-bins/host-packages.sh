#!/bin/sh
# Installs the Debian packages named as `command-or-file:package` that are missing; says which when it may not.
# Usage: host-packages.sh COMMAND:PACKAGE …
set -eu
missing=
for pair in "$@"; do
  need=${pair%%:*} package=${pair#*:}
  case $need in
  /*) [ -e "$need" ] || missing="$missing $package" ;;
  *) PATH=$PATH:/usr/sbin:/sbin command -v "$need" >/dev/null 2>&1 || missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "missing packages:$missing; install them and run this again" >&2
  exit 1
fi
echo "installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q -o DPkg::Lock::Timeout=300 >/dev/null
# A database server is wanted as a program for tests, not as a service: Debian asks policy-rc.d before it starts one.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
# shellcheck disable=SC2086 # a list of words
apt-get install -yq --no-install-recommends -o DPkg::Lock::Timeout=300 $missing >/dev/null
