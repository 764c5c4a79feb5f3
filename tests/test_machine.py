"""What is found out of the machine."""

import os

import pytest

from galfeed import machine

INSTALLED = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(("text", "expected"), [("max\n", INSTALLED), ("1048576\n", 2**20), (None, INSTALLED)])
def test_memory_of_a_container(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(machine, "ALLOWED", tmp_path / "memory.max")
    if text:
        (tmp_path / "memory.max").write_text(text)
    assert machine.memory() == expected
