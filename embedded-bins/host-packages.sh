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
apt-get update -q >/dev/null
# shellcheck disable=SC2086 # a list of words
apt-get install -yq --no-install-recommends $missing >/dev/null
