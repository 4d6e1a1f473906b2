"""PSNRs by the step of a quantiser, as a search for a step measures them."""

import math
from collections.abc import Sequence


class Curve:
    """A PSNR that falls evenly with the logarithm of the step, and counts how often it was measured."""

    def __init__(self, slope: float, offset: float) -> None:
        self.slope, self.offset, self.n_calls = slope, offset, 0

    def __call__(self, step: float) -> float:
        self.n_calls += 1
        return self.offset - self.slope * 20 * math.log10(step)

    def of_pair(self, steps: Sequence[float]) -> list[float]:
        """Measure two steps."""
        assert len(steps) == 2
        return [self(step) for step in steps]

    def step_for(self, psnr: float) -> float:
        """Step that has a PSNR."""
        return float(10 ** ((self.offset - psnr) / (20 * self.slope)))
