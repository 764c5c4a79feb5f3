"""What the fits of a batch run on, found out without loading torch."""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path

from galfeed.errors import GalfeedError

COUNT = """
import ctypes
cuda = ctypes.CDLL("libcuda.so.1")
number = ctypes.c_int()
print(0 if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(number)) else number.value)
"""
"""Asks the driver, in a process of its own: one that has asked cannot be forked."""


def choose(word: str) -> tuple[str, ...]:
    """The devices that ``--device`` means, a fitting process each: ("cpu",) or such as ("cuda:0", "cuda:1").

    Args:
        word: auto, cpu, cuda or cuda:N.

    Raises:
        GalfeedError: there is no such device.
    """
    if word == "cpu":
        return ("cpu",)
    found = tuple(f"cuda:{number}" for number in range(count()))
    if word == "auto":
        return found or ("cpu",)
    if not found:
        raise GalfeedError(f"--device {word}: there is no CUDA device that PyTorch can use here; expected --device cpu")
    if word != "cuda" and word not in found:
        raise GalfeedError(f"--device {word}: there is no such device, expected one of {', '.join(found)}")
    return found if word == "cuda" else (word,)


def count() -> int:
    """How many CUDA devices there are; 0 where PyTorch is built without CUDA."""
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        return 0
    if runpy.run_path(str(Path(torch.origin).with_name("version.py"))).get("cuda") is None:
        return 0
    asked = subprocess.run([sys.executable, "-S", "-c", COUNT], capture_output=True, text=True)
    return int(asked.stdout) if asked.returncode == 0 else 0
