"""How the damping of a Levenberg-Marquardt step changes with what came of the last, and when a problem is given up."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Judged(NamedTuple):
    """What a strategy needs to know of a step (b,): accepted?, actual over predicted fall, relative fall of chi^2."""

    accepted: Tensor
    gain: Tensor
    fall: Tensor


class Strategy(Protocol):
    """How damping changes and when a problem ends."""

    first: float

    def begin(self, batch: int, like: Tensor) -> None:
        """Forget all and make room for a batch."""

    def next(self, rows: Tensor, damping: Tensor, step: Judged) -> tuple[Tensor, Tensor]:
        """Damping (b,) of the next step and whether (b,) there is none."""


class Countdown:
    """GALFIT's path: damping falls or rises tenfold, and ten insignificant iterations in a row are the end (probed).

    Its refused steps with next to no damping differ by nothing; they are counted but not tried again.
    """

    first = 1e-2
    insignificant = 1e-4  # relative fall of chi^2
    patience = 10
    noticeable = 1e-3  # damping that changes a step

    def begin(self, batch: int, like: Tensor) -> None:
        self.left = torch.full((batch,), self.patience + 1, dtype=torch.long, device=like.device)

    def next(self, rows: Tensor, damping: Tensor, step: Judged) -> tuple[Tensor, Tensor]:
        damping = damping * torch.where(step.accepted, 0.1, 10.0)
        decades = torch.where(step.accepted, 0.0, (self.noticeable / damping).log10().round().clamp(min=0))
        dull = ~step.accepted | (step.fall < self.insignificant)
        self.left[rows] = torch.where(dull, self.left[rows] - 1 - decades.long(), self.patience + 1)
        return damping * 10.0**decades, self.left[rows] <= 0


class Gain:
    """Damping by the gain ratio (Nielsen 1999, IMM-REP-1999-05); ends when many steps in a row led nowhere."""

    nowhere = 1e-7  # relative fall of chi^2

    def __init__(self, first: float = 1e-3, patience: int = 12) -> None:
        self.first, self.patience = first, patience

    def begin(self, batch: int, like: Tensor) -> None:
        self.idle = torch.zeros(batch, dtype=torch.long, device=like.device)

    def next(self, rows: Tensor, damping: Tensor, step: Judged) -> tuple[Tensor, Tensor]:
        relaxed = (1 - (2 * step.gain.clamp(0, 1) - 1) ** 3).clamp(min=0.1)
        self.idle[rows] = torch.where(step.fall > self.nowhere, 0, self.idle[rows] + 1)
        return damping * torch.where(step.accepted, relaxed, 10.0), self.idle[rows] >= self.patience
