"""From jobs and their images to fitted jobs."""

from galfeed.fit.batch import BLOCK, FIT, MODEL, SUBCOMPONENTS, Task, run, starting

__all__ = ["BLOCK", "FIT", "MODEL", "SUBCOMPONENTS", "Task", "run", "starting"]
