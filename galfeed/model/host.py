"""What the host does otherwise for an accelerator, such as a GPU, than on a CPU, and how not to wait for the former.

An accelerator does what it is told while the host goes on; where the host asks for a number, or gives one from its own
memory, it waits until all that was asked before is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def is_cpu(place: Tensor) -> bool:
    """Whether a tensor is in the memory of a CPU."""
    return place.device.type == "cpu"


def together(batch: Tensor, few: int) -> int:
    """How many images of a batch are worked on at once: on a CPU a few, which stay in the core's cache, else all."""
    return few if is_cpu(batch) else max(len(batch), 1)


def known(tables: Sequence[Tensor]) -> list[np.ndarray]:
    """Tables (B, ...) of whole numbers in the host's memory, after a single wait for the device."""
    if not tables:
        return []
    told = torch.cat([table.flatten() for table in tables]).cpu().numpy()
    ends = np.cumsum([table.numel() for table in tables])[:-1]
    return [part.reshape(table.shape) for part, table in zip(np.split(told, ends), tables, strict=True)]


def given(numbers: np.ndarray, like: Tensor) -> Tensor:
    """Numbers of the host on the device of a tensor, without a wait for it."""
    own = torch.from_numpy(numbers)
    return own.pin_memory().to(like.device, non_blocking=True) if like.is_cuda else own.to(like.device)


@lru_cache(maxsize=1024)
def constant(numbers: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The same few numbers again and again, on the device; not to be changed."""
    return torch.tensor(numbers, dtype=dtype, device=device)


def indices(places: Sequence[int], like: Tensor) -> Tensor:
    """A few places to index a tensor with."""
    return constant(tuple(places), torch.long, like.device)


def where_true(mask: Tensor, count: int) -> tuple[Tensor, ...]:
    """Where a mask is true, as ``torch.nonzero(mask, as_tuple=True)``, without a wait.

    Args:
        count: how often it is.
    """
    if is_cpu(mask):
        return torch.nonzero(mask, as_tuple=True)
    number = mask.flatten().cumsum(0) - 1
    found = number.new_zeros(count + 1)  # the last one is for all that are not wanted
    if count:
        every = torch.arange(len(number), device=mask.device)
        found.scatter_(0, torch.where(mask.flatten(), number, count), every)
    axes: list[Tensor] = []
    place = found[:count]
    for length in reversed(mask.shape):
        axes.append(place % length)
        place = place // length
    return tuple(reversed(axes))
