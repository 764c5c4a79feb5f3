"""The journal: a job that is interrupted anywhere is done once in the end, and looks as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from stamps import stamp, tree

from galfeed import survey
from galfeed.clock import Clock
from galfeed.errors import GalfeedError
from galfeed.options import parse
from galfeed.output import files, restart
from galfeed.survey import entries, journal, pool, rows, stages
from galfeed.survey.journal import Journal
from galfeed.survey.stages import Unit
from galfeed.survey.state import State

WORDS = (".", "--json", "-outsig", "--journal", "../journal")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Three jobs in a folder, read and fitted: the folder, the jobs, the results."""
    folder = tmp_path_factory.mktemp("jobs") / "jobs"
    for seed, name in enumerate("abc"):
        stamp(folder, name, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        asked = parse([*WORDS])
        jobs = [stages.read(entry, asked, Clock()) for entry in entries.find(asked)]
        return folder, jobs, stages.Fitter(asked).fit(jobs)


@pytest.fixture
def folder(fitted, tmp_path, monkeypatch):
    target = shutil.copytree(fitted[0], tmp_path / "jobs")
    monkeypatch.chdir(target)
    return target


class Killed(BaseException):
    """Stands for SIGKILL: nothing is caught, nothing is put in order."""


class Deadline:
    """Kills the process at its n-th change of a file: before it, or between it and the next."""

    def __init__(self, monkeypatch, moment: int) -> None:
        self.left = moment
        for module, name in ((files, "replace"), (files, "append"), (restart, "claim"), (Journal, "put")):
            monkeypatch.setattr(module, name, self.counted(getattr(module, name)))
        monkeypatch.setattr(files.Draft, "name", self.counted(files.Draft.name))

    def counted(self, change):
        def act(*arguments):
            self.tick()
            result = change(*arguments)
            self.tick()
            return result

        return act

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def work(fitted, resume: bool) -> list[int]:
    """What a worker does with the unit of all jobs; returns those that were written."""
    asked = parse([*WORDS, *(["--resume"] if resume else [])])
    found = entries.find(asked)
    log, state, resumed = journal.open_journal(journal.name_of(asked), found, asked)
    assert resumed == resume
    try:
        left = [entry for entry in found if not pool.settle(entry, state, log)]
        writer = stages.Writer(Unit(tuple(left), state.intents), asked, log, Clock())
        jobs, results = ([both[entry.index] for entry in left] for both in (fitted[1], fitted[2]))
        for entry, job, result, doubts in zip(left, jobs, results, writer.doubts(jobs, results), strict=True):
            assert writer.write(entry, job, result, doubts).code == 0
    finally:
        log.close()
    return [entry.index for entry in left]


@pytest.fixture(scope="module")
def whole(fitted, tmp_path_factory):
    """All files after an undisturbed run, and the rows of its journal."""
    folder = shutil.copytree(fitted[0], tmp_path_factory.mktemp("whole") / "jobs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert work(fitted, resume=False) == [0, 1, 2]
    return tree(folder), rows_of(State(folder.parent / "journal"))


def rows_of(state: State) -> dict[int, object]:
    return dict(zip(state.ended, state.rows(state.ended), strict=True))


def test_an_interruption_at_any_change_of_a_file_leaves_no_trace(fitted, whole, folder):
    moment = 0
    while True:
        moment += 1
        shutil.rmtree(folder)
        shutil.copytree(fitted[0], folder)
        os.chdir(folder)
        with pytest.MonkeyPatch.context() as patch:
            Deadline(patch, moment)
            try:
                work(fitted, resume=False)
                break
            except Killed:
                pass
        assert set(work(fitted, resume=True)) <= {0, 1, 2}
        # a file that is about to take the place of another has a hidden name for a moment
        left = {name: content for name, content in tree(folder).items() if not name.startswith(".galfeed-")}
        assert left == whole[0], moment
        state = State(Path("../journal"))
        assert rows_of(state) == whole[1] and not state.intents
        assert work(fitted, resume=True) == []
    assert moment > 3 * 2 * 7


def test_two_interruptions_of_one_job(fitted, whole, folder):
    for moment in (8, 6, 5, 9):
        with pytest.MonkeyPatch.context() as patch:
            Deadline(patch, moment)
            with pytest.raises(Killed):
                work(fitted, resume=Path("../journal").exists())
    work(fitted, resume=True)
    assert tree(folder) == whole[0]


@pytest.mark.parametrize("part", [1, 100, 500])
def test_half_an_entry_of_the_log_is_taken_back(fitted, whole, folder, monkeypatch, part):
    def torn(path, text):
        with open(path, "a") as log:
            log.write(text[:part])
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "append", torn)
        with pytest.raises(Killed):
            work(fitted, resume=False)
    assert work(fitted, resume=True) == [0, 1, 2]
    assert tree(folder) == whole[0]


def test_a_restart_file_of_another_run_is_left_alone(fitted, folder):
    with pytest.MonkeyPatch.context() as patch:
        Deadline(patch, 7)  # after the intent
        with pytest.raises(Killed):
            work(fitted, resume=False)
    assert State(Path("../journal")).intents[0].restart == "galfit.01"
    Path("galfit.01").write_text("mine")
    work(fitted, resume=True)
    assert Path("galfit.01").read_text() == "mine"
    assert sorted(path.name for path in Path().glob("galfit.*")) == [f"galfit.0{number}" for number in range(1, 5)]
    assert Path("fit.log").read_text().count("Restart file    : galfit.02") == 1


def test_a_torn_record_spoils_no_other(fitted, whole, folder):
    with pytest.MonkeyPatch.context() as patch:
        Deadline(patch, 20)
        with pytest.raises(Killed):
            work(fitted, resume=False)
    with open("../journal", "a") as log:
        log.write('\n{"done":2,"row":{"menu":"c.fee')
    work(fitted, resume=True)
    assert tree(folder) == whole[0]


def test_failed_jobs_are_tried_again(fitted, folder):
    work(fitted, resume=False)
    log, state = Journal(Path("../journal")), State(Path("../journal"))
    (row,) = state.rows([1])
    log.failed(1, row | {"status": "failed", "exit_code": 2})
    state = State(Path("../journal"))
    assert [entry.index for entry in survey._left(entries.find(parse([*WORDS])), state, log)] == [1]


@pytest.mark.parametrize(
    ("words", "says"),
    [("a.feedme b.feedme", "3 input files, this run 2"), (". -imax 3", "max_iterations"), (". --exact", "exact")],
)
def test_another_run_is_not_gone_on_with(fitted, folder, words, says):
    work(fitted, resume=False)
    before = Path("../journal").read_bytes()
    asked = parse([*words.split(), "--json", "-outsig", "--journal", "../journal", "--resume"])
    with pytest.raises(GalfeedError, match=says) as error:
        journal.open_journal(journal.name_of(asked), entries.find(asked), asked)
    assert "\n" not in str(error.value)
    assert Path("../journal").read_bytes() == before


def test_without_resume_the_old_journal_is_kept_aside(fitted, folder):
    Path("../journal").write_text("old")
    work(fitted, resume=False)
    assert Path("../journal.old").read_text() == "old"
    assert json.loads(Path("../journal").read_text().splitlines()[0])["jobs"] == 3


def test_a_journal_in_use_is_refused(fitted, folder, monkeypatch):
    work(fitted, resume=False)
    monkeypatch.setattr(journal, "PATIENCE", 0.2)
    script = "import sys; from galfeed.survey.journal import Journal; from pathlib import Path"
    hold = f"{script}; log = Journal(Path('../journal')); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        start = time.monotonic()
        with pytest.raises(GalfeedError, match="another run is using this journal"):
            work(fitted, resume=True)
        assert time.monotonic() - start < 5
        other.stdin.close()


def test_a_state_goes_on_from_where_it_has_read(fitted, whole, folder):
    """As a run does whose process has died; a record that is being written is read when it is complete."""
    work(fitted, resume=False)
    text = Path("../journal").read_bytes()
    part = Path("../part")
    for cut in range(text.index(b"\n"), len(text), 97):
        part.write_bytes(text[:cut])
        state = State(part)
        part.write_bytes(text)
        state.look()
        assert rows_of(state) == whole[1] and not state.intents and not state.failed
    part.unlink()  # somebody tidies up
    state.forget(1)
    assert [*state.rows([2, 1])] == [whole[1][2], None]
    state.look()
    assert {*state.ended} == {0, 2}


def test_rows_stay_in_the_file(tmp_path):
    """A run of a million jobs could not hold them."""
    size = 2**20
    row = rows.failed(entries.Entry(0, "a", "a", Path()), 1, "")
    lines = [
        {"intent": 0, "restart": None, "digest": "", "log": [0, None], "row": row | {"message": "x" * size}},
        {"done": 0},
        {"done": 1, "row": row | {"message": "y" * size}},
        {"failed": 2, "row": row | {"message": "z" * size}},
    ]
    (tmp_path / "journal").write_text("\n".join(map(json.dumps, lines)))
    tracemalloc.start()
    try:
        state = State(tmp_path / "journal")
        assert tracemalloc.get_traced_memory()[0] < size / 10
    finally:
        tracemalloc.stop()
    assert [row["message"][0] for row in state.rows([2, 0, 1])] == ["z", "x", "y"]
    assert state.failed == {2} and {*state.ended} == {0, 1, 2}


@pytest.mark.parametrize(
    "damage",
    [
        '{"intent":0}',
        '{"intent":0,"restart":null,"digest":"","log":5,"row":ROW}',
        '{"done":[1],"row":ROW}',
        '{"done":0,"row":{}}',
        '{"failed":0,"row":{"values":5}}',
        '{"something":1}',
        "[1,2]",
        "5",
    ],
)
def test_a_damaged_journal_is_one_line(fitted, folder, damage):
    work(fitted, resume=False)
    row = json.dumps(rows.failed(entries.Entry(0, "a", "a", Path()), 1, ""))
    lines = Path("../journal").read_text().splitlines()
    lines.insert(3, damage.replace("ROW", row))
    Path("../journal").write_text("\n".join(lines))
    before = tree(folder.parent)
    with pytest.raises(GalfeedError, match=r"^\.\./journal:4: the journal is damaged here, expected [^\n]*$"):
        work(fitted, resume=True)
    assert tree(folder.parent) == before


@pytest.mark.parametrize(
    "words", [{"values": {"1_XC": [1.0, 2.0]}}, {"values": {"1_XC": ["x", 0.1, 0.1, "", True, ""]}}, {"chi2": "1"}]
)
def test_a_damaged_row_is_seen(words):
    row = rows.failed(entries.Entry(0, "a", "a", Path()), 1, "")
    assert rows.is_row(row)
    assert rows.is_row(row | {"values": {"1_XC": [1.0, None, None, "fixed", False, "pix"]}})
    assert not rows.is_row(row | words)


@pytest.mark.parametrize("head", ['{"journal":1}', '{"journal":1,"galfeed":"0","jobs":1,"menus":"","options":5}', "{"])
def test_a_journal_without_its_first_line_is_kept_aside(fitted, folder, head):
    Path("../journal").write_text(head)
    asked = parse([*WORDS, "--resume"])
    log, _, resumed = journal.open_journal(journal.name_of(asked), entries.find(asked), asked)
    log.close()
    assert not resumed and Path("../journal.old").read_text() == head
