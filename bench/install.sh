#!/bin/sh
# Installs from Debian what the measurements compare with, and what compiles their C programs.
# Does nothing where all of it is there. Starts no service.
set -eu
. "$(dirname "$0")/../tests/real/debian.sh"

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

# shellcheck disable=SC2086 # one word per package
install_missing "the measurements" "Dovecot and Postfix do" $missing
