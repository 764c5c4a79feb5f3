"""Restart files: ``galfit.01``, ``galfit.02``, ...; each run takes the lowest free number."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from galfeed.errors import OutputError
from galfeed.output import files

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links answer."""


def next_name(folder: Path) -> str:
    """The lowest free name, which the headers of a run give that writes no restart file."""
    return next(_free_names(folder))


def claim(folder: Path, text: str, names: Iterable[str] | None = None) -> str:
    """Write a restart file under the lowest free number, gaps included, and return its name.

    The file appears complete and under a name that no other process can get: several may work in one folder, and
    one that is killed leaves neither a lock nor a part of a file.

    Args:
        folder: where to write it.
        text: the restart file.
        names: those to try, in this order; all free ones if not given.

    Raises:
        OutputError: the folder cannot be written to.
    """
    data = text.encode("utf-8", "surrogateescape")
    try:
        with files.draft(folder, data) as whole:
            return next(name for name in names or _free_names(folder) if _named(whole, folder / name, data))
    except OSError as error:
        raise OutputError(f"{folder / 'galfit.NN'}: cannot be written: {files.reason(error)}") from None


def _free_names(folder: Path) -> Iterator[str]:
    taken = set(os.listdir(folder))
    return (name for number in itertools.count(1) if (name := f"galfit.{number:02d}") not in taken)


def _named(whole: files.Draft, path: Path, data: bytes) -> bool:
    """Give a complete file its name; False when another process was quicker."""
    try:
        whole.name(path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        try:
            files.create(path, data)
        except FileExistsError:
            return False
    return True
