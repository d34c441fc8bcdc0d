#!/usr/bin/env bash
# Ships a folder to one of the known hosts.
set -euo pipefail

readonly ROOT="${1:-.}"
TARGETS=(alpha beta "gamma ray")
count=0

log() {
  local level="$1"
  shift
  if [ "$level" = "debug" ] && [ -z "${DEBUG:-}" ]; then
    return 0
  fi
  printf '%s: %s\n' "$level" "$*" >&2
}

check_host() {
  local host="$1" tries=0
  while [ "$tries" -lt 3 ]; do
    if ping -c 1 "$host" >/dev/null 2>&1; then
      log info "$host is up"
      return 0
    elif [ "$tries" -eq 2 ]; then
      log warn "$host is down"
    else
      sleep 1
    fi
    tries=$((tries + 1))
  done
  return 1
}

copy_to() {
  local host="$1"
  case "$host" in
    alpha)
      rsync -a "$ROOT/" "$host:/srv/alpha"
      count=$((count + 1))
      ;;
    beta|"gamma ray")
      scp -r "$ROOT" "$host:/srv/other"
      ;;
    *)
      log error "unknown host $host"
      exit 2
      ;;
  esac
}

for host in "${TARGETS[@]}"; do
  if ! check_host "$host"; then
    continue
  fi
  for file in "$ROOT"/*.conf; do
    [ -e "$file" ] || break
    grep -q "host=$host" "$file" && cp "$file" /tmp/
  done
  copy_to "$host"
done

until [ "$count" -ge 1 ]; do
  log debug "waiting, ${#TARGETS[@]} hosts"
  count=$((count + 1))
done
