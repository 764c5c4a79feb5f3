"""galfeed: fit galaxy images as GALFIT 3 does."""

__version__ = "0.1.0"
