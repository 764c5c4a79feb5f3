"""Outputs that are there whole or not at all: nothing here leaves half a file behind, not even when it is killed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from galfeed.errors import OutputError

OPEN_FILES = Path("/proc/self/fd")
"""Where the system shows the open files of a process; absent on others than Linux."""


def check_writable(folder: Path, name: str) -> None:
    """See before a fit whether its output can be written where it is wanted.

    Args:
        folder: what the name is relative to.
        name: the file to be written later, as the user gave it; it may exist.

    Raises:
        OutputError: no name, no such folder, a folder of that name, no permission.
    """
    if not name.strip():
        raise OutputError("the output image, line B), has no name: expected a file name")
    path = folder / name
    if os.path.isdir(path):
        raise OutputError(f"{name}: cannot be written: a folder of that name exists")
    if not os.path.isdir(path.parent):
        raise OutputError(f"{name}: cannot be written: no folder {str(Path(name).parent)!r}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{name}: cannot be written: no permission in folder {str(Path(name).parent)!r}")
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise OutputError(f"{name}: cannot be written: the file is write-protected")


def replace(path: Path, data: bytes) -> None:
    """Write a file, over an older one of that name, which stays as it is until the new one is complete.

    Raises:
        OutputError: it cannot be written (missing folder, no permission, full disk).
    """
    with _reported(path):
        target = Path(os.path.realpath(path))  # a link keeps pointing where it did
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            target.write_bytes(data)  # a device or a pipe: nothing to put in its place
            return
        with draft(target.parent, data) as whole:
            whole.put(target)


def append(path: Path, text: str) -> None:
    """Add a text to the end of a file in one write, so that entries of processes that run together do not mix.

    Raises:
        OutputError: it cannot be written; the file then is as it was.
    """
    data = text.encode("utf-8", "surrogateescape")
    with _reported(path):
        new = not path.exists()
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _write_whole(file, data)
        except OSError:
            if new and os.fstat(file).st_size == 0:
                path.unlink()
            raise
        finally:
            os.close(file)


def _write_whole(file: int, data: bytes) -> None:
    """Append all of the data or nothing, unless another process has already written behind the part."""
    written = os.write(file, data)
    if written < len(data):
        end = os.lseek(file, 0, os.SEEK_CUR)
        if end == os.fstat(file).st_size:
            os.ftruncate(file, end - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Draft:
    """A complete file that waits for its name.

    Where the system can do so, it has no name at all until then, so that a process that is killed leaves nothing.

    Args:
        folder: where the file is to be.
        source: its hidden name, or the system's name of the open file.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source = folder, source

    def name(self, path: Path) -> None:
        """Give the file a name in its folder.

        Raises:
            FileExistsError: the name is taken.
            OSError: others, among them those of ``restart.NO_LINKS``.
        """
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:  # with a folder given, links to open files are followed
            os.link(self.source, path.name, dst_dir_fd=folder, follow_symlinks=True)
        finally:
            os.close(folder)

    def put(self, path: Path) -> None:
        """Put the file in the place of what has this name."""
        if self.source.parent == self.folder:
            os.replace(self.source, path)
            return
        try:
            self.name(path)
        except FileExistsError:
            hidden = _hidden(self.folder)
            self.name(hidden)
            try:
                os.replace(hidden, path)
            finally:
                hidden.unlink(missing_ok=True)


@contextmanager
def draft(folder: Path, data: bytes) -> Iterator[Draft]:
    """A complete file, to be named or put in the place of another; gone at the end if neither was done.

    Raises:
        OSError: it cannot be written.
    """
    file = _open_nameless(folder)
    if file is None:
        path = _hidden(folder)
        create(path, data)
        try:
            yield Draft(folder, path)
        finally:
            path.unlink(missing_ok=True)
        return
    with open(file, "wb") as stream:
        stream.write(data)
        stream.flush()
        yield Draft(folder, OPEN_FILES / str(file))


def _open_nameless(folder: Path) -> int | None:
    """A new file without a name; None where the file system knows no such files."""
    if not OPEN_FILES.is_dir():
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return None
        raise


def _hidden(folder: Path) -> Path:
    return folder / f".galfeed-{os.getpid()}-{secrets.token_hex(4)}.tmp"


def create(path: Path, data: bytes) -> None:
    """Write a new file; one that cannot be written completely is removed.

    Raises:
        FileExistsError: the name is taken.
        OSError: it cannot be written.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(file, "wb") as stream:
            stream.write(data)
    except OSError:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {reason(error)}") from None


def reason(error: OSError) -> str:
    """What the system says, for the end of a one-line message."""
    return (error.strerror or str(error)).lower()
