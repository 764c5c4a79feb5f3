"""``python -m galfeed``."""

import sys

from galfeed.cli import main

sys.exit(main())
