"""How a process that fits uses the machine it runs on: threads and memory."""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""

KEPT = 2**30
"""Bytes: freed memory up to this much is kept, and pieces up to this size are taken from it."""


ALLOWED = Path("/sys/fs/cgroup/memory.max")
"""Says how much memory a container has, in bytes, or "max" (Linux's cgroup-v2)."""


def memory() -> int:
    """Bytes that all processes together may have."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # another system, or "max"
        return min(installed, int(ALLOWED.read_text()))
    return installed


def load() -> None:
    """Import torch and the fit.

    No garbage is looked for meanwhile: there is none among all the objects that come into being for good.

    Raises:
        ImportError: there is no torch here, or one that cannot be used.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        from galfeed import fit  # noqa: F401
    finally:
        if collecting:
            gc.enable()


def prepare() -> None:
    """One thread, memory that is used again, and no look for garbage among what is there already.

    Images of a fit come and go a hundred times an iteration.  glibc gives each that is larger than a few pages back to
    the system at once and has it zeroed anew; the fit of eight stamps then takes almost twice as long.
    """
    import torch

    gc.freeze()
    torch.set_num_threads(1)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(M_TRIM_THRESHOLD, KEPT)
    mallopt(M_MMAP_THRESHOLD, KEPT)
