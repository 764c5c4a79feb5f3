"""From jobs and their images to fitted jobs."""

from galfeed.fit.batch import run
from galfeed.fit.doubts import doubts, doubts_of_all
from galfeed.fit.problem import BLOCK, FIT, MODEL, SUBCOMPONENTS, Task, starting

__all__ = ["BLOCK", "FIT", "MODEL", "SUBCOMPONENTS", "Task", "doubts", "doubts_of_all", "run", "starting"]
