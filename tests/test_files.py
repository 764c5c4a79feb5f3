"""Outputs are whole or absent, restart numbers are never shared."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from galfeed.errors import OutputError
from galfeed.output import files, restart


def names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def failing(error: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    return fail


def test_replace_writes_and_overwrites(tmp_path):
    path = tmp_path / "block.fits"
    files.replace(path, b"old and longer")
    files.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["block.fits"]


def test_replace_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        files.replace(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_replace_keeps_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.fits"
    link.symlink_to(tmp_path / "there" / "real.fits")
    files.replace(link, b"data")
    assert link.is_symlink()
    assert (tmp_path / "there" / "real.fits").read_bytes() == b"data"


def test_replace_writes_to_a_device():
    files.replace(Path(os.devnull), b"data")
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("system", [Path("/proc/self/fd"), Path("/nowhere")])
def test_drafts_have_no_visible_name(tmp_path, monkeypatch, system):
    monkeypatch.setattr(files, "OPEN_FILES", system)
    for data in (b"old and longer", b"new"):
        with files.draft(tmp_path, data) as whole:
            assert not [name for name in names(tmp_path) if not name.startswith((".galfeed-", "block"))]
            whole.put(tmp_path / "block.fits")
        assert (tmp_path / "block.fits").read_bytes() == data
        assert names(tmp_path) == ["block.fits"]
    with files.draft(tmp_path, b"late") as whole, pytest.raises(FileExistsError):
        whole.name(tmp_path / "block.fits")
    assert names(tmp_path) == ["block.fits"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="files without a name are known to Linux only")
def test_a_draft_leaves_nothing_in_the_folder(tmp_path):
    with files.draft(tmp_path, b"x"):
        assert names(tmp_path) == []


@pytest.mark.parametrize("error", [errno.EOPNOTSUPP, errno.EISDIR])
def test_file_systems_without_nameless_files(tmp_path, monkeypatch, error):
    plain = os.open

    def refuse(path, flags, *rest, **named):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(error, os.strerror(error))
        return plain(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    files.replace(tmp_path / "block.fits", b"data")
    assert restart.claim(tmp_path, "text") == "galfit.01"
    assert names(tmp_path) == ["block.fits", "galfit.01"]


def test_missing_folder(tmp_path):
    path = tmp_path / "no" / "block.fits"
    with pytest.raises(OutputError, match=r"block\.fits: cannot be written: no such file or directory$"):
        files.replace(path, b"data")


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "block.fits"
    files.replace(path, b"old")
    monkeypatch.setattr(os, "replace", failing(errno.ENOSPC))
    with pytest.raises(OutputError, match="no space left on device"):
        files.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["block.fits"]


def test_append_creates_and_adds(tmp_path):
    path = tmp_path / "fit.log"
    files.append(path, "one\n")
    files.append(path, "two\n")
    assert path.read_text() == "one\ntwo\n"


def test_append_is_undone_when_the_disk_fills_up(tmp_path, monkeypatch):
    path = tmp_path / "fit.log"
    files.append(path, "one\n")
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole(file, data[:2]))
    with pytest.raises(OutputError, match=r"fit\.log: cannot be written: no space left on device$"):
        files.append(path, "two\n")
    assert path.read_text() == "one\n"


def test_append_leaves_no_empty_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", failing(errno.ENOSPC))
    with pytest.raises(OutputError):
        files.append(tmp_path / "fit.log", "one\n")
    assert names(tmp_path) == []


def test_entries_written_together_do_not_mix(tmp_path):
    path = tmp_path / "fit.log"
    entries = [f"{n:03d} {'x' * 5000}\n" for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: files.append(path, entry), entries))
    assert sorted(path.read_text().splitlines(keepends=True)) == entries


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"line B\), has no name"),
        ("   ", r"line B\), has no name"),
        ("no/block.fits", r"^no/block\.fits: cannot be written: no folder 'no'$"),
        ("folder", r"^folder: cannot be written: a folder of that name exists$"),
    ],
)
def test_check_writable(tmp_path, name, message):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=message):
        files.check_writable(tmp_path, name)
    assert names(tmp_path) == ["folder"]


def test_check_writable_permissions(tmp_path, monkeypatch):
    (tmp_path / "old.fits").write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) == tmp_path)
    with pytest.raises(OutputError, match="write-protected"):
        files.check_writable(tmp_path, "old.fits")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="no permission in folder"):
        files.check_writable(tmp_path, "new.fits")


def test_check_writable_accepts(tmp_path):
    (tmp_path / "old.fits").write_bytes(b"x")
    for name in ("old.fits", "new.fits", str(tmp_path / "absolute.fits")):
        files.check_writable(tmp_path, name)


def test_restart_takes_the_lowest_free_number(tmp_path):
    (tmp_path / "galfit.01").write_text("old")
    (tmp_path / "galfit.03").write_text("old")
    assert [restart.claim(tmp_path, f"{n}") for n in range(3)] == ["galfit.02", "galfit.04", "galfit.05"]
    assert (tmp_path / "galfit.04").read_text() == "1"
    assert (tmp_path / "galfit.01").read_text() == "old"


def test_restart_name_of_a_run_that_writes_none(tmp_path):
    assert restart.next_name(tmp_path) == "galfit.01"
    (tmp_path / "galfit.01").touch()
    (tmp_path / "galfit.03").touch()
    assert restart.next_name(tmp_path) == "galfit.02"
    assert names(tmp_path) == ["galfit.01", "galfit.03"]


def test_restart_after_99(tmp_path):
    for number in range(1, 100):
        (tmp_path / f"galfit.{number:02d}").touch()
    assert restart.claim(tmp_path, "x") == "galfit.100"


def test_restart_retries_when_another_process_is_quicker(tmp_path, monkeypatch):
    (tmp_path / "galfit.01").touch()
    monkeypatch.setattr(os, "listdir", lambda _: [])
    assert restart.claim(tmp_path, "x") == "galfit.02"


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOTSUP])
def test_restart_without_hard_links(tmp_path, monkeypatch, error):
    (tmp_path / "galfit.01").touch()
    monkeypatch.setattr(os, "link", failing(error))
    monkeypatch.setattr(os, "listdir", lambda _: [])
    assert restart.claim(tmp_path, "x") == "galfit.02"
    assert (tmp_path / "galfit.02").read_text() == "x"
    assert names(tmp_path) == ["galfit.01", "galfit.02"]


def test_restart_in_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match=r"galfit\.NN: cannot be written: no such file or directory"):
        restart.claim(tmp_path / "no", "x")


CLAIM = "import sys; from pathlib import Path; from galfeed.output.restart import claim\n"


def test_processes_in_one_folder_share_no_number(tmp_path):
    script = CLAIM + "for n in range(40): claim(Path(sys.argv[1]), sys.argv[2])"
    workers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), f"{n}"]) for n in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert set(names(tmp_path)) == {f"galfit.{n:02d}" for n in range(1, 121)}
    texts = [path.read_text() for path in tmp_path.iterdir()]
    assert sorted(texts) == sorted("012" * 40)


def test_a_killed_process_leaves_no_part_and_no_lock(tmp_path):
    text = "x" * 200_000
    script = CLAIM + f"while True: claim(Path(sys.argv[1]), 'x' * {len(text)})"
    worker = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    deadline = time.monotonic() + 30
    while len(names(tmp_path)) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)
    worker.wait(10)
    restarts = sorted(tmp_path.glob("galfit.*"))
    assert len(restarts) >= 19
    assert {path.stat().st_size for path in restarts} == {len(text)}
    assert restart.claim(tmp_path, "next") not in {path.name for path in restarts}
