"""Loads the grammars of ``grammar/``."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from lark import Lark

PACKAGE = Path(__file__).parents[1]


@cache
def load(name: str) -> Lark:
    """The parser for the language ``grammar/<name>.lark``; start symbol ``start``.

    The folder lies in the package when it is installed, beside it in a checkout.
    """
    folder = next(f for f in (PACKAGE / "grammar", PACKAGE.parent / "grammar") if f.is_dir())
    text = (folder / f"{name}.lark").read_text(encoding="utf-8")
    # Blank space and letters are C's: a no-break space separates nothing.
    return Lark(text, parser="lalr", lexer="contextual", maybe_placeholders=False, g_regex_flags=re.ASCII)
