"""Menus: from text to a job and back; restart files and constraint files too.

``grammar/feedme.lark`` and ``grammar/constraints.lark`` are the reference of the languages.
"""

from galfeed.feedme.menu import dump
from galfeed.feedme.reader import load, parse

__all__ = ["dump", "load", "parse"]
