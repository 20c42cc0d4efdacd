# What compose.sh and container.sh share: checks that are counted, a folder `$work` that goes at the end, and the end itself.
# To be sourced; the script that does so defines `clean_up`, which runs however the script ends.
# shellcheck shell=bash

work="$(mktemp -d)"
# What the last command of `within` printed.
log="$work/log"
passed=0
failed=0

leave_nothing_behind() {
  clean_up
  rm -rf "$work"
}
trap leave_nothing_behind EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The last line, which counts.
finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

# check WHAT COMMAND...: one line; what the command printed shows only when it failed.
check() {
  local what="$1" output
  shift
  if output="$("$@" 2>&1)"; then
    passed=$((passed + 1))
    echo "ok    $what"
  else
    failed=$((failed + 1))
    echo "FAIL  $what"
    [ -z "$output" ] || tail -n 30 <<<"$output" | sed 's/^/      /'
    return 1
  fi
}

# needed WHAT COMMAND...: a check without which the rest makes no sense.
needed() { check "$@" || finish; }

# within SECONDS COMMAND...: until the command succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >"$log" 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      cat "$log"
      return 1
    fi
    sleep 0.3
  done
}

# same SEEN WANTED
same() { [ "$1" = "$2" ] || { echo "$1, not $2"; return 1; }; }
