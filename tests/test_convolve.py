"""Convolution of planes that are like their opposite."""

import pytest
import torch

from galfeed.model import convolve

LENGTHS = [n for n in range(48, 260, 2) if convolve.fast_length(n) == n]
CUT = 20  # what a plane holds beyond the window


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [1, 3])
def test_planes_are_rounded_as_they_are_alone(count, dtype):
    """An FFT library has other code for one transform than for many, and for other distances in the memory."""
    generator = torch.Generator().manual_seed(1)
    differ = []
    for length in LENGTHS:
        planes = torch.rand(count, 5, length // 2 + 1, length, dtype=dtype, generator=generator)
        kernels = torch.rand(1, 5, 9, 9, dtype=dtype, generator=generator)
        at = torch.tensor([10, 11, 12, 13, 14])

        def convolved(some, planes=planes, kernels=kernels, at=at, length=length):
            pairs, window = [(place, 0) for place in range(count)], (length - CUT, length - CUT)
            return convolve.centred(
                planes[:, some], count // 2, kernels[:, some], pairs, (at[some], at[some]), (length, length), window
            )

        every = convolved(slice(None))
        for some in (slice(0, 1), slice(4, 5), slice(1, 3), slice(1, 5)):
            if not torch.equal(convolved(some), every[:, some]):
                differ.append((length, some))
    assert not differ
