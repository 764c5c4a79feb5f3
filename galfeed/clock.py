"""Where the time of a run goes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIMING = "GALFEED_TIMING"
"""Environment variable that names a file to receive the seconds spent in each phase, as JSON."""


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        self.phases[name] = self.phases.get(name, 0.0) + seconds

    def taken(self) -> dict[str, float]:
        """The seconds since the last call."""
        phases, self.phases = self.phases, {}
        return phases


def save(text: str) -> None:
    """Write the record of the times where it is asked for."""
    if TIMING in os.environ:
        Path(os.environ[TIMING]).write_text(text)
