#!/bin/sh
# make install: a virtual environment with the pinned dependencies under PREFIX/lib/mailward, the
# commands, its man page, completion for three shells, and a service for systemd. Run as root in a
# clone. What an operator wrote is never touched; what is there of an older mailward is replaced as a
# whole, when all of the new one is ready.
#
#   install.sh PYTHON PREFIX [DESTDIR]
set -eu
umask 022

python=$1 prefix=$2 dest=${3-}
here=$(cd "$(dirname "$0")/.." && pwd)
case $prefix in
  /*[!A-Za-z0-9/._-]* | [!/]* | / | '') echo "PREFIX=$prefix is no plain absolute path" >&2; exit 2 ;;
esac
lib=$prefix/lib/mailward
case $prefix in
  /usr | /usr/local) systemd=$prefix/lib ;; # systemd looks there
  *) systemd=/etc ;;
esac

fail() {
  echo "mailward is not installed: $1" >&2
  exit 1
}

# -- the program, beside the one that may be running -------------------------------------------------
new=$dest$lib.new
source=$(mktemp -d)
trap 'rm -rf "$source" "$new"' EXIT
trap 'exit 1' HUP INT TERM
rm -rf "$new"
mkdir -p "$dest$prefix/lib"
"$python" -m venv "$new" || fail "on Debian run 'apt-get install python3-venv'"
case $(readlink -f "$new/bin/python") in
  /home/* | /root/*) fail "$("$python" -c 'import sys; print(sys.base_prefix)') is out of reach for a service; try make install PYTHON=/usr/bin/python3" ;;
esac
pip() { "$new/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }
pip install -q --no-compile --require-hashes -r "$here/requirements/build.txt" -r "$here/requirements/run.txt" \
    -r "$here/requirements/embedded.txt"
# From a copy: what an earlier build left in the clone must not get in, and none is left there.
mkdir "$source/src" "$source/mailbox" "$source/mailbox/src"
cp -R "$here/src/mailward" "$source/src"
cp -R "$here/mailbox/src/mailward_mailbox" "$source/mailbox/src"
cp "$here/mailbox/pyproject.toml" "$here/mailbox/README.md" "$source/mailbox"
cp "$here/pyproject.toml" "$here/README.md" "$here/LICENSE" "$source"
pip install -q --no-compile --no-deps --no-build-isolation "$source" "$source/mailbox"
pip uninstall -q -y setuptools pip # nothing but mailward runs in there
# The service may not write byte code, and its paths are those of the place where it will be.
"$new/bin/python" -m compileall -q -f -s "$new" -p "$lib" "$new/lib"
for file in "$new"/bin/* "$new/pyvenv.cfg"; do
  if [ ! -L "$file" ]; then sed -i "s,$new,$lib,g" "$file"; fi
done

# -- what is made from it ----------------------------------------------------------------------------
put() { # put MODE FILE: standard input becomes FILE
  mkdir -p "$(dirname "$dest$2")"
  cat >"$dest$2.new"
  chmod "$1" "$dest$2.new"
  mv "$dest$2.new" "$dest$2"
}
made() { "$new/bin/python" -m "$@"; }
made mailward.app.cli.printed.manual | put 644 "$prefix/share/man/man1/mailward.1"
made mailward.app.cli.main completion bash | put 644 "$prefix/share/bash-completion/completions/mailward"
made mailward.app.cli.main completion zsh | put 644 "$prefix/share/zsh/site-functions/_mailward"
made mailward.app.cli.main completion fish | put 644 /etc/fish/completions/mailward.fish
sed "s,@BIN@,$prefix/bin,g" "$here/packaging/mailward.service.in" | put 644 "$systemd/systemd/system/mailward.service"
put 644 "$systemd/sysusers.d/mailward.conf" <"$here/packaging/mailward.sysusers"

# -- in its place ------------------------------------------------------------------------------------
rm -rf "$dest$lib.old"
if [ -e "$dest$lib" ]; then mv "$dest$lib" "$dest$lib.old"; fi
mv "$new" "$dest$lib"
rm -rf "$dest$lib.old"
mkdir -p "$dest$prefix/bin"
for command in mailward mailward-mailbox; do
  ln -sfn "../lib/mailward/bin/$command" "$dest$prefix/bin/$command"
done

if [ -z "$dest" ] && command -v systemd-sysusers >/dev/null; then
  systemd-sysusers "$systemd/sysusers.d/mailward.conf"
fi
config=/etc/mailward/config.toml
if [ -e "$dest$config" ]; then
  put 644 "$config.example" <"$here/packaging/config.toml"
else
  put 644 "$config" <"$here/packaging/config.toml"
  # The hash of an operator's password may come to stand in it: only the service reads it.
  if [ -z "$dest" ] && getent group mailward >/dev/null; then
    chgrp mailward "$config"
    chmod 640 "$config"
  fi
fi
if [ -n "$dest" ]; then exit 0; fi

after="systemctl enable --now mailward"
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if systemctl -q is-active mailward; then
    after="systemctl restart mailward     # ends the sessions that pass through the old one"
  fi
fi
cat <<END
mailward is installed in $prefix. Next:
  editor $config
  $prefix/bin/mailward serve --check
  $after
END
