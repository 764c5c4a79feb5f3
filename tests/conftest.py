"""Tests run with one thread, as the command does: several processes (pytest-xdist) would be in each other's way.

With more of them torch rounds sums otherwise, depending on how many there are.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
