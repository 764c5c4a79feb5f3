"""Records with large arrays, carried from process to process through shared memory.

A parcel is an open file without a name: it is gone when the last process that holds it is, whatever ends that process.
"""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

ALIGNED = 64
"""Bytes: where arrays may begin."""

NUMBER = struct.Struct("=Q")


def pack(record: object) -> int:
    """Put a record into a new parcel and return its file descriptor, which the caller closes."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(record, protocol=5, buffer_callback=buffers.append)
    parts: list[bytes | memoryview] = [head, *(buffer.raw() for buffer in buffers)]
    sizes = [memoryview(part).nbytes for part in parts]
    table = b"".join(map(NUMBER.pack, (len(sizes), *sizes)))
    starts, size = _starts(len(table), sizes)
    file = _open()
    try:
        os.ftruncate(file, size)
        with mmap.mmap(file, size) as memory:
            memory[: len(table)] = table
            for start, part, length in zip(starts, parts, sizes, strict=True):
                memory[start : start + length] = part
    except BaseException:
        os.close(file)
        raise
    return file


def unpack(file: int) -> Any:
    """The record of a parcel.  Its arrays lie in the shared memory; what is written to them only this process sees."""
    memory = memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_COPY))
    (count,) = NUMBER.unpack_from(memory)
    sizes = [NUMBER.unpack_from(memory, NUMBER.size * (1 + place))[0] for place in range(count)]
    starts, _ = _starts(NUMBER.size * (1 + count), sizes)
    head, *buffers = (memory[start : start + size] for start, size in zip(starts, sizes, strict=True))
    return pickle.loads(head, buffers=buffers)


def size(file: int) -> int:
    """Bytes of a parcel."""
    return os.fstat(file).st_size


def send(connection: Connection, file: int, process: int) -> None:
    """Hand a parcel to another process; the sender's file stays open."""
    send_handle(connection, file, process)


def receive(connection: Connection) -> int:
    """Take a parcel that was sent; the receiver closes it.

    Raises:
        EOFError, OSError, RuntimeError: the sender is gone.
    """
    return recv_handle(connection)


def _starts(first: int, sizes: list[int]) -> tuple[list[int], int]:
    """Where each part begins, and the size of all."""
    starts, end = [], first
    for size in sizes:
        start = -(-end // ALIGNED) * ALIGNED
        starts.append(start)
        end = start + size
    return starts, end


def _open() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("galfeed", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
