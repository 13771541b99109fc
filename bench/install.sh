#!/bin/sh
# Installs from Debian what the measurements compare with, and what compiles their C programs.
# Does nothing where all of it is there. Starts no service.
set -eu

missing=
need() { # need PACKAGE FILE...: the package is missing unless one of the files is there
  package=$1
  shift
  for file in "$@"; do
    if [ -e "$file" ]; then return 0; fi
  done
  missing="$missing $package"
}
need fail2ban /usr/bin/fail2ban-server
need python3-pyinotify /usr/lib/python3/dist-packages/pyinotify.py # fail2ban's best way to follow a log
need haproxy /usr/sbin/haproxy
need nginx /usr/sbin/nginx
need libnginx-mod-mail /usr/lib/nginx/modules/ngx_mail_module.so
need dovecot-imapd /usr/lib/dovecot/imap /usr/libexec/dovecot/imap
need dovecot-managesieved /usr/lib/dovecot/managesieve /usr/libexec/dovecot/managesieve
need postfix /usr/lib/postfix/sbin/master /usr/libexec/postfix/master
need gcc /usr/bin/gcc
need libc6-dev /usr/include/stdio.h

if [ "$(id -u)" != 0 ]; then
  echo "the measurements need root (Dovecot and Postfix do)${missing:+ and these Debian packages:$missing}" >&2
  exit 1
fi
if [ -z "$missing" ]; then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "the measurements need these Debian packages:$missing" >&2
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
