"""Whole files or none: a result goes to a temporary file beside the target, which then takes its name."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def is_special(path: str) -> bool:
    """Devices and pipes are written to; replacing them would destroy them."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Yield the path of a temporary file in the folder of `path`; on success it becomes `path`.

    On any failure the temporary file is removed and an older `path` stays as it was. Links are followed.
    """
    target = os.path.realpath(path)
    if is_special(target):
        yield target
        return
    handle, temporary = tempfile.mkstemp(
        prefix=f".{os.path.basename(target)}.", suffix=".part", dir=os.path.dirname(target)
    )
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _mode(target: str) -> int:
    """Permissions of the file to be replaced, else those a new file would get."""
    try:
        return stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return 0o666 & ~umask


def write_text(path: str, text: str) -> None:
    """Write `text` as UTF-8 to `path`, wholly or not at all."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())  # the data before the name: a crash leaves the old file or the new one
