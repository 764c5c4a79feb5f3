"""A short, repeatable run of every fuzz target; ``run.py`` is for long ones."""

import drawn
import pytest
import run
import targets
from hypothesis import HealthCheck, Phase, given, settings

EXAMPLES = {"command": 25, "check": 60, "packed": 80, "menu": 120}
FEW = 150
NEVER_REFUSED = {"check"}  # what it finds is its answer


@pytest.fixture
def at_work():
    with targets.at_work():
        yield


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_are_accepted(name, at_work):
    accepted = [targets.TARGETS[name](seed) for seed in drawn.seeds(name)]
    assert sum(accepted) > len(accepted) / 2


@pytest.mark.parametrize("name", targets.TARGETS)
def test_damaged_input_is_read_or_refused(name, at_work):
    outcomes = set()

    @settings(
        max_examples=EXAMPLES.get(name, FEW),
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=tuple(HealthCheck),
    )
    @given(drawn.inputs(name))
    def each(data):
        outcomes.add(targets.TARGETS[name](data))

    each()
    assert outcomes == {True} if name in NEVER_REFUSED else {True, False}


def test_an_input_that_fails_is_kept(tmp_path, monkeypatch):
    def broken(data):
        if b"7" in data:
            raise ValueError("seven")
        return True

    monkeypatch.setitem(targets.TARGETS, "broken", broken)
    recorder = run.Recorder("broken", tmp_path)
    for data in (b"1", b"67", b"7"):
        recorder(data)
    assert recorder.report() == 1
    assert (recorder.inputs, recorder.accepted) == (3, 1)
    assert [path.read_bytes() for path in tmp_path.glob("broken-*[0-9a-f]") if "current" not in path.name] == [b"67"]


@pytest.mark.parametrize(
    "line",
    ["in: two\nlines", "in: \x1b[31m", "in: ", "other: no name", "in: " + 3000 * "x"],
)
def test_a_message_that_is_not_one_plain_line_is_seen(line):
    targets.check_line("in:1: expected a number", "in:")
    with pytest.raises(AssertionError):
        targets.check_line(line, "in:")


def test_what_a_target_must_not_do_is_seen(at_work):
    place = targets.scratch()
    place.put("gal.fits", b"new")
    place.check("gal.fits")
    (place.path / "more").write_text("")
    with pytest.raises(AssertionError, match="made or lost"):
        place.check("gal.fits")
    (place.path / "more").unlink()
    (place.path / "gal.fits").write_bytes(b"other")
    assert place.changed() == {"gal.fits"}
    with pytest.raises(AssertionError, match="changed"):
        place.check("gal.fits")
    with pytest.raises(AssertionError, match="printed"), targets.watched():
        print("text")
    with pytest.raises(AssertionError, match="took"), targets.watched(0.0):
        pass
