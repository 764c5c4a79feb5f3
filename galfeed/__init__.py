"""galfeed: fit galaxy images as GALFIT 3 does."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galfeed.readback import read

__version__ = "0.1.0"
__all__ = ["__version__", "read"]


def __getattr__(name: str) -> Any:
    """What takes time to import, at its first use."""
    if name == "read":
        from galfeed.readback import read

        return read
    raise AttributeError(f"module 'galfeed' has no attribute {name!r}")
