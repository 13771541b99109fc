#!/bin/sh
# make uninstall: takes away what `make install` put there. Configuration, data and the user stay.
#
#   uninstall.sh PREFIX [DESTDIR]
set -eu

prefix=$1 dest=${2-}
case $prefix in
  /usr | /usr/local) systemd=$prefix/lib ;;
  *) systemd=/etc ;;
esac
if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
  if systemctl -q is-active mailward || systemctl -q is-enabled mailward 2>/dev/null; then
    systemctl disable --now mailward
  fi
fi
rm -rf "$dest$prefix/lib/mailward"
rm -f "$dest$prefix/bin/mailward" "$dest$prefix/bin/mailward-mailbox" \
  "$dest$prefix/share/man/man1/mailward.1" \
  "$dest$prefix/share/bash-completion/completions/mailward" \
  "$dest$prefix/share/zsh/site-functions/_mailward" \
  "$dest/etc/fish/completions/mailward.fish" \
  "$dest$systemd/systemd/system/mailward.service" \
  "$dest$systemd/sysusers.d/mailward.conf"
if [ -n "$dest" ]; then exit 0; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
echo "mailward is gone; /etc/mailward, /var/lib/mailward and the user mailward are still there."
