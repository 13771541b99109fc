#!/bin/sh
# Installs from Debian what the tests against real servers run: mail servers, proxies, mail clients,
# attack tools, shells, a systemd to start our service, and debootstrap, which makes the roots of
# what cannot be installed here: Cyrus, and all of Debian 13.
# With "demo" only the mail servers that `make demo-servers` runs.
# Does nothing where all of it is there. Starts no service: the tests run servers of their own.
set -eu
. "$(dirname "$0")/debian.sh"

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
  need msmtp /usr/bin/msmtp
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
  need neomutt /usr/bin/neomutt
  need isync /usr/bin/mbsync
  need cyrus-clients /usr/lib/cyrus/bin/imtest
  need msmtp /usr/bin/msmtp
  need nodejs /usr/bin/node
  need npm /usr/bin/npm
  [ -e /usr/lib/dovecot/modules/auth/libdriver_sqlite.so ] || missing="$missing dovecot-sqlite"
  [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing="$missing libnginx-mod-stream"
  perl -MNet::SSLeay -e 1 2>/dev/null || missing="$missing libnet-ssleay-perl" # swaks wants it for TLS
fi

# shellcheck disable=SC2086 # one word per package
install_missing "the tests against real servers" "Postfix does" $missing

# imtest brings the Cyrus server along, which must not start when this machine does.
case $missing in
  *cyrus-clients*) if [ -e /bin/systemctl ]; then systemctl disable -q cyrus-imapd.service; fi ;;
esac
