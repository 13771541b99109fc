#!/bin/sh
# Installs from Debian what the tests against real servers run: mail servers, proxies, mail clients,
# attack tools, shells, a systemd to start our service, and debootstrap, which makes the root of the
# one server that fits beside no other.
# With "demo" only the mail servers that `make demo-servers` runs.
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
need dovecot-managesieved /usr/lib/dovecot/managesieve /usr/libexec/dovecot/managesieve
need postfix /usr/lib/postfix/sbin/master /usr/libexec/postfix/master
if [ "${1:-}" != demo ]; then
  need swaks /usr/bin/swaks
  need hydra /usr/bin/hydra
  need curl /usr/bin/curl
  need openssl /usr/bin/openssl
  need sieve-connect /usr/bin/sieve-connect
  need haproxy /usr/sbin/haproxy
  need nginx /usr/sbin/nginx
  need curl /usr/bin/curl
  need debootstrap /usr/sbin/debootstrap
  need systemd /lib/systemd/systemd # as process 1 of a machine made of namespaces
  need iproute2 /usr/sbin/ip /bin/ip
  need man-db /usr/bin/man
  need prometheus /usr/bin/prometheus # and promtool
  need mandoc /usr/bin/mandoc
  need zsh /usr/bin/zsh
  need fish /usr/bin/fish
  [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing="$missing libnginx-mod-stream"
  perl -MNet::SSLeay -e 1 2>/dev/null || missing="$missing libnet-ssleay-perl" # swaks wants it for TLS
fi

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
