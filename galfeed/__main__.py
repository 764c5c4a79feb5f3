"""``python -m galfeed``."""

from galfeed.cli import command

command()
