"""Results read back from two files of one run, held against each other."""

from __future__ import annotations

import math

from galfeed.readback import Component, Result, Value
from galfeed.readback.words import WITHOUT_CARD

NOT_IN_HEADERS = set(WITHOUT_CARD.values()) | {"ALPHA5", "ALPHA6", "ROUT4"}


def agree(first: Result, second: Result) -> None:
    """Both tell of the same fit, to the digits that they print."""
    for what in ("image", "section", "restart", "ndof"):
        assert getattr(first, what) == getattr(second, what), what
    for what in ("chi2", "chi2nu"):
        one, other = getattr(first, what), getattr(second, what)
        assert (one is None) == (other is None), what
        assert one is None or _close(one, other, 6e-4), what
    for own, other in zip(first.components, second.components, strict=True):
        assert own.name.split() == other.name.split()
        assert own.rotation == other.rotation
        assert (sorted(own.inner), sorted(own.outer)) == (sorted(other.inner), sorted(other.outer))
        lacking = own.values.keys() ^ other.values.keys()
        assert lacking <= (NOT_IN_HEADERS if "header" in (first.kind, second.kind) else set())
        for word in own.values.keys() - lacking:
            _same(word, (first, own), (second, other))


def _same(word: str, one: tuple[Result, Component], other: tuple[Result, Component]) -> None:
    left, right = one[1][word], other[1][word]
    assert isinstance(left, Value) and isinstance(right, Value)
    kinds = {one[0].kind, other[0].kind}
    where = f"{one[1].number}_{word} of {kinds}"
    step = sum(_step(result.kind, word, left.value, left.value) for result, _ in (one, other))
    assert _close(left.value, right.value, step), where
    if "menu" in kinds:  # no error bars and no stars
        assert _plain(left) == _plain(right), where
        return
    if not one[1].name.startswith(("length", "height")):  # GALFIT's header has no stars there
        assert left.mark == right.mark, where
    assert (left.error is None) == (right.error is None), where
    if left.error is not None and right.error is not None:
        step = sum(_step(result.kind, word, left.value, left.error) for result, _ in (one, other))
        assert _close(left.error, right.error, step), where


def _plain(value: Value) -> str:
    return "free" if value.mark == "suspicious" else value.mark


def _step(kind: str, word: str, value: float, number: float) -> float:
    """Half of the last digit that a kind of file prints of a number: of a value, or of its error bar."""
    bend, sky = word[0] == "B" and word[1:].isdigit(), word in ("SKY", "DSDX", "DSDY")
    if kind == "log":
        return _relative(number, 3) if bend or (sky and abs(value) <= 1) else 0.005
    if kind == "menu":
        return max(5e-5, _relative(number, 4)) if bend or sky else 5e-5
    return max(5e-5, _relative(number, 4)) if abs(value) < 0.0101 else 5e-5


def _relative(number: float, digits: int) -> float:
    if number == 0 or not math.isfinite(number):
        return 0.0
    return 0.5 * 10.0 ** (math.floor(math.log10(abs(number))) + 1 - digits)


def _close(one: float, other: float, step: float) -> bool:
    if math.isnan(one) or math.isnan(other) or math.isinf(one):
        return math.isnan(one) == math.isnan(other) and (math.isnan(one) or one == other)
    return abs(one - other) <= 1.02 * step + 1e-6 * abs(one)
