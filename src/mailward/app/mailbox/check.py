"""What keeps the built-in mail server from using its data, as its program says itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mailward.app.mailbox.process import check_command, clean_environment

CHECK_SECONDS = 10.0
_LAST = 500


def mailbox_shortcomings(folder: Path) -> Iterator[str]:
    """A warning, where the program finds that it cannot use what is in *folder*.

    Nothing is changed. Root looks with the rights of the user that the folder belongs to.
    """
    if not folder.is_dir():
        return
    owner = folder.stat()
    is_root = os.geteuid() == 0 and owner.st_uid != 0
    try:
        done = subprocess.run(  # noqa: S603 -- our own program
            check_command(folder),
            env=clean_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_SECONDS,
            check=False,
            user=owner.st_uid if is_root else None,
            group=owner.st_gid if is_root else None,
            extra_groups=() if is_root else None,
        )
    except (OSError, subprocess.TimeoutExpired):
        return  # it cannot be asked, which says nothing of the data
    if done.returncode == os.EX_CONFIG:
        said = done.stderr.decode(errors="replace").strip().removeprefix("mailward-mailbox: ")
        yield f"the built-in mail server cannot use its data: {said[-_LAST:]}"
