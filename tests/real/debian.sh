# Sourced by the scripts that install packages of Debian. Starts no service.

install_missing() { # install_missing WHO WHY PACKAGE...: as root, what is missing, if anything is
  who=$1 why=$2
  shift 2
  if [ "$(id -u)" != 0 ]; then
    echo "$who need root ($why)${*:+ and these Debian packages: $*}" >&2
    exit 1
  fi
  if [ $# = 0 ]; then exit 0; fi
  if ! command -v apt-get >/dev/null; then
    echo "$who need these Debian packages: $*" >&2
    exit 1
  fi

  # Debian starts what it installs unless this file says no (101: not allowed).
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi

  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -yq --no-install-recommends "$@"
}
