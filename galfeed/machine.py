"""How a process that fits uses the machine it runs on: threads and memory."""

from __future__ import annotations

import ctypes

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""

KEPT = 2**30
"""Bytes: freed memory up to this much is kept, and pieces up to this size are taken from it."""


def prepare() -> None:
    """One thread, and memory that is used again.

    Images of a fit come and go a hundred times an iteration.  glibc gives each that is larger than a few pages back to
    the system at once and has it zeroed anew; the fit of eight stamps then takes almost twice as long.
    """
    torch.set_num_threads(1)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    mallopt(M_TRIM_THRESHOLD, KEPT)
    mallopt(M_MMAP_THRESHOLD, KEPT)
