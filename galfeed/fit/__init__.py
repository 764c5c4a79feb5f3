"""From jobs and their images to fitted jobs."""

from galfeed.fit.batch import BLOCK, FIT, MODEL, SUBCOMPONENTS, Task, run, starting
from galfeed.fit.doubts import doubts

__all__ = ["BLOCK", "FIT", "MODEL", "SUBCOMPONENTS", "Task", "doubts", "run", "starting"]
