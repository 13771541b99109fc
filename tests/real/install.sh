#!/bin/sh
# Installs from Debian what the tests against real servers run: Dovecot, Postfix, swaks, hydra,
# openssl.
# Does nothing where all of it is there. Starts no service: the tests run servers of their own.
set -eu

missing=
need() { # need PACKAGE FILE...: the package is missing unless one of the files is there
  package=$1
  shift
  for file in "$@"; do
    if [ -x "$file" ]; then return 0; fi
  done
  missing="$missing $package"
}
need dovecot-imapd /usr/lib/dovecot/imap /usr/libexec/dovecot/imap
need postfix /usr/lib/postfix/sbin/master /usr/libexec/postfix/master
need swaks /usr/bin/swaks
need hydra /usr/bin/hydra
need openssl /usr/bin/openssl
perl -MNet::SSLeay -e 1 2>/dev/null || missing="$missing libnet-ssleay-perl" # swaks wants it for TLS

if [ "$(id -u)" != 0 ]; then
  echo "the tests against real servers need root (Postfix does)${missing:+ and these Debian packages:$missing}" >&2
  exit 1
fi
if [ -z "$missing" ]; then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "the tests against real servers need these Debian packages:$missing" >&2
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
# shellcheck disable=SC2086 # one word per package
apt-get install -yq --no-install-recommends $missing
