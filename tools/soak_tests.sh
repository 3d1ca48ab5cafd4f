#!/usr/bin/env bash
# usage: tools/soak_tests.sh [ROUNDS] [SECONDS]
#
# Runs `make test` under three conditions to find tests that depend on a fast machine. Each of the ROUNDS (default: 3)
# makes a fresh clone of the last commit and runs the tests in it without other load, on one core, and with all cores
# kept busy by other processes. A run is ended after SECONDS (default: 3600).
#
# Prints the exit code, the duration and pytest's last line for each run, and keeps the logs in build/soak-tests. Exits
# with 1 if a run failed or was ended, and with 2 if the repository could not be cloned.
set -uo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3} limit=${2:-3600}
logs=$PWD/build/soak-tests
source=$PWD
clones=$(mktemp -d)
busy=()
failed=0

stop_busy() {
  ((${#busy[@]} == 0)) || kill "${busy[@]}"
  busy=()
}
trap 'stop_busy; rm -rf "$clones"' EXIT

run() { # NAME COMMAND...
  local name=$1 began=$SECONDS status=0
  shift
  (cd "$clones/$round" && exec timeout --kill-after=30 "$limit" "$@" make test) >"$logs/$name.log" 2>&1 || status=$?
  echo "$name: exit code $status, $((SECONDS - began)) s: $(grep -E '^=+ .* in [0-9.]+s.* =+$' "$logs/$name.log" | tail -n 1)"
  ((status == 0)) || failed=1
}

mkdir -p "$logs"
for ((round = 1; round <= rounds; round++)); do
  git clone -q "$source" "$clones/$round" || exit 2
  run "alone-$round"
  run "one-core-$round" taskset -c 0
  for ((core = 0; core < $(nproc); core++)); do
    python3 -c 'while True: pass' &
    busy+=($!)
  done
  run "busy-$round"
  stop_busy
  rm -rf "${clones:?}/$round"
done
exit "$failed"
