"""From jobs and their images to fitted jobs."""

from galfeed.fit.batch import BLOCK, FIT, MODEL, SUBCOMPONENTS, Task, run, starting
from galfeed.fit.doubts import doubts, doubts_of_all

__all__ = ["BLOCK", "FIT", "MODEL", "SUBCOMPONENTS", "Task", "doubts", "doubts_of_all", "run", "starting"]
