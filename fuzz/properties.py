"""Promises of ``compress`` on volumes of every dtype, with any values, missing values and targets.

    python -m fuzz.properties [--cases N] [--seed S] [--record RESULT.json]

The bound holds in exact arithmetic, and the largest error that is stated is the measured one. Missing values
come back bit for bit, no other value becomes one of them, and dtype and shape are kept.
"""

import argparse
import contextlib
import dataclasses
import math
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

import nvc_jax
from fuzz.machine import describe_run
from fuzz.running import write_record
from nvc_jax.core.dtypes import DTYPES, integer_limits, is_float, is_long_integer

CHUNK = (8, 8, 16)
"""Chunk of the volumes of a short run: of one shape, so that few programs are compiled, and small."""
CHUNKS = (CHUNK, CHUNK, (8, 16), (1, *CHUNK), (8, 1, 8, 16), (1, 1, *CHUNK))
"""Chunks of a long run, of two to five axes; their spatial shapes need two programs."""
_BATCH = 1000
"""Cases after which the record is written."""
_TINY_WIDTH = 1e-290
"""Width of a range below which float64 may not hold the steps that a PSNR takes."""
_ROUNDING = Fraction(1, 2**50)
"""Share by which float64's rounding may change a bound that is relative to the range, or an error."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A volume to compress, and how.

    Attributes:
        dtype, shape: of the volume.
        chunk: voxels of a chunk along each axis.
        values: name of a maker of values in ``VALUES``.
        seed: of the values.
        target: kind of target in ``TARGETS``; None for the default.
        strength: exponent of the target: of a bound relative to the range, decades.
        missing: declared missing value by its kind, see ``_missing_value``; None for none.
        is_masked: whether the missing value is declared by a mask, not by an option.
        share: of the voxels that are missing.
        special: share of the voxels that are NaN, infinite or −0, of floats.
        limits: whether decoded values are limited to the range.
        exact: whether 0 and the most frequent value come back exactly.
    """

    dtype: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    values: str
    seed: int
    target: str | None
    strength: float
    missing: str | None
    is_masked: bool
    share: float
    special: float
    limits: bool
    exact: bool


def _cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Cast float64 values to a dtype; those beyond its ends become the ends."""
    if is_float(dtype):
        limit = float(jnp.finfo(dtype).max)
        return np.clip(values, -limit, limit).astype(dtype)
    low, high = integer_limits(dtype)
    rounded = np.rint(values)
    within = np.clip(rounded, low, np.nextafter(float(high), 0) if is_long_integer(dtype) else high)
    return np.where(rounded >= high, dtype.type(high), within.astype(dtype))


def _scale(rng: np.random.Generator, dtype: np.dtype) -> float:
    """Draw a magnitude from all that a dtype has."""
    if is_float(dtype):
        info = jnp.finfo(dtype)
        return float(2.0 ** rng.uniform(math.log2(info.smallest_subnormal) + 4, math.log2(info.max) - 1))
    return float(2.0 ** rng.uniform(0, math.log2(integer_limits(dtype)[1] + 1)))


def _constant(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.full(shape, _cast(rng.normal(0, _scale(rng, dtype), 1), dtype)[0])


def _plateaus(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    table = _cast(rng.normal(0, _scale(rng, dtype), rng.integers(2, 9)), dtype)
    return table[
        np.minimum(np.add.outer(np.indices(shape)[0], np.zeros(1, int))[..., 0] // 3, len(table) - 1)
    ]


def _noise(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Bits at random; floats that are not finite become 1."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    values = np.frombuffer(rng.bytes(math.prod(shape) * dtype.itemsize), dtype).reshape(shape).copy()
    if is_float(dtype):
        values[~np.isfinite(values)] = 1
    return values


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    phases = sum(i / rng.uniform(2, 20) for i in np.indices(shape))
    return _cast(_scale(rng, dtype) * (np.sin(phases) + rng.choice([0.0, 1.0, 100.0])), dtype)


def _noisy(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    scale = _scale(rng, dtype)
    phases = sum(i / rng.uniform(2, 20) for i in np.indices(shape))
    noise = rng.normal(0, 10.0 ** rng.uniform(-6, 0), shape)
    return _cast(scale * (np.sin(phases) + noise), dtype)


def _decimals(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Multiples of a decimal step, as instruments store them."""
    return _cast(rng.integers(-50, 50, shape) * 10.0 ** rng.integers(-4, 3), dtype)


def _ends(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Ends of the dtype, their neighbours, and numbers around 0."""
    if is_float(dtype):
        info = jnp.finfo(dtype)
        ends = [info.max, -info.max, info.tiny, info.smallest_subnormal, -info.tiny, 0, -0.0, 1, info.eps]
        table = np.array(ends, dtype)
    else:
        low, high = integer_limits(dtype)
        numbers = {low, min(low + 1, high), 0, 1, max(high - 1, low), high}
        table = np.array(sorted(numbers), dtype)
    return rng.choice(rng.permutation(table)[: rng.integers(2, len(table) + 1)], shape)


def _denormals(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Small multiples of the smallest number."""
    small = rng.integers(0, rng.choice([2, 20, 200]), shape)
    if is_float(dtype):
        return small.astype(dtype) * jnp.finfo(dtype).smallest_subnormal
    return _cast(small.astype(np.float64), dtype)


def _outliers(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    values = _noisy(rng, shape, dtype)
    low, high = _ends(rng, (2,), dtype)
    values[rng.random(shape) < 0.01] = low
    values[rng.random(shape) < 0.01] = high
    return values


VALUES: dict[str, Callable[[np.random.Generator, tuple[int, ...], np.dtype], np.ndarray]] = {
    "constant": _constant,
    "plateaus": _plateaus,
    "noise": _noise,
    "smooth": _smooth,
    "noisy": _noisy,
    "decimals": _decimals,
    "ends": _ends,
    "denormals": _denormals,
    "outliers": _outliers,
}


def _shapes(chunk: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of volumes of one chunk or two, whole and cut off; the whole chunk comes first."""
    cut = tuple(max(side - 1 - axis, 1) for axis, side in enumerate(chunk))
    return [
        chunk,
        cut,
        tuple(1 for _ in chunk),
        (*chunk[:-2], 2 * chunk[-2], chunk[-1]),
        (*cut[:-1], chunk[-1] + 4),
    ]


def cases(chunk: tuple[int, ...] = CHUNK) -> st.SearchStrategy[Case]:
    """Strategy of cases over all dtypes, shapes, values, missing values and targets."""
    return st.builds(
        Case,
        dtype=st.sampled_from(DTYPES),
        shape=st.sampled_from(_shapes(chunk)),
        chunk=st.just(chunk),
        values=st.sampled_from(sorted(VALUES)),
        seed=st.integers(0, 2**32 - 1),
        target=st.sampled_from([*TARGETS, "max_error", "relative_error", "lossless", None]),
        strength=st.floats(-9, 1) | st.sampled_from([-400.0, -17.0, 0.0, 400.0]),
        missing=st.none() | st.sampled_from(["of the values", "largest", "smallest", "zero", "-9999"]),
        is_masked=st.booleans(),
        share=st.sampled_from([0.0, 0.005, 0.3, 0.99, 1.0]),
        special=st.sampled_from([0.0, 0.0, 0.01, 0.5, 1.0]),
        limits=st.booleans(),
        exact=st.booleans(),
    )


def _missing_value(case: Case, values: np.ndarray) -> np.generic | None:
    """Declared missing value of a case, in the volume's dtype; None for none that it holds."""
    kind = values.dtype
    if case.missing is None or kind.kind == "b":
        return None
    if case.missing == "of the values":
        value = values.reshape(-1)[case.seed % values.size]
        return value if np.isfinite(value) else None
    low, high = (-jnp.finfo(kind).max, jnp.finfo(kind).max) if is_float(kind) else integer_limits(kind)
    value = {"largest": high, "smallest": low, "zero": 0, "-9999": -9999}[case.missing]
    return kind.type(value) if low <= value else None


def _make_special(values: np.ndarray, share: float, rng: np.random.Generator) -> None:
    """Turn a share of floats into NaN of any bits, infinities and −0."""
    bits = values.view(f"u{values.dtype.itemsize}")
    exponent = np.array(np.inf, values.dtype).view(bits.dtype)
    payloads = np.frombuffer(rng.bytes(bits.nbytes), bits.dtype).reshape(bits.shape)
    chosen, way = rng.random(values.shape) < share, rng.integers(4, size=values.shape)
    values[chosen & (way == 0)] = np.inf
    values[chosen & (way == 1)] = -np.inf
    values[chosen & (way == 2)] = -0.0
    is_nan = chosen & (way == 3)
    bits[is_nan] = (payloads | exponent | bits.dtype.type(1))[is_nan]


@dataclasses.dataclass(frozen=True)
class Example:
    """Volume and options of a case.

    Attributes:
        source: the volume that is given to ``compress``.
        values: voxels that must come back, with the missing value where the source is masked.
        valid: voxels that are finite and not declared missing.
        options: of ``compress``.
    """

    source: np.ndarray
    values: np.ndarray
    valid: np.ndarray
    options: dict[str, Any]


def make_example(case: Case) -> Example:
    """Make the volume and the options of a case."""
    rng, kind = np.random.default_rng(case.seed), np.dtype(case.dtype)
    source = VALUES[case.values](rng, case.shape, kind)
    if is_float(kind) and case.special:
        _make_special(source, case.special, rng)
    options: dict[str, Any] = {"chunks": case.chunk}
    missing, values = _missing_value(case, source), source
    if missing is not None:
        chosen = rng.random(case.shape) < case.share
        values = np.where(chosen, missing, source)
        if not case.is_masked:
            source, options["missing_values"] = values, [missing]
        elif (
            chosen.any() and not (source == missing)[~chosen].any()
        ):  # or the mask is refused, or means nothing
            source = np.ma.array(source, mask=chosen, fill_value=missing)
        else:
            missing, values = None, source
    valid = np.isfinite(values)
    if missing is not None:
        valid &= values != missing
    low, high = (_number(limit) for limit in _range(values, valid))
    if case.limits and kind.kind != "b":
        options["value_limits"] = (low, None) if case.seed % 2 else (low, high)
    if case.exact and kind.kind != "b":
        options["exact_values"] = [0, _number(values[valid][0])] if valid.any() else [0]
    if case.target is not None:
        options[case.target] = TARGETS[case.target][0](case, high - low)
    return Example(source, values, valid, options)


def _number(value: np.generic) -> float:
    return int(value) if value.dtype.kind in "iub" else float(value)


def _range(values: np.ndarray, valid: np.ndarray) -> tuple[np.generic, np.generic]:
    chosen = values[valid]
    return (chosen.min(), chosen.max()) if chosen.size else (values.dtype.type(0),) * 2


def exact_error(first: np.ndarray, second: np.ndarray) -> Fraction:
    """Largest difference of two arrays of finite values, exactly."""
    if first.dtype.kind in "iub":
        differences = [abs(int(a) - int(b)) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
        return Fraction(max(differences, default=0))
    with np.errstate(over="ignore"):
        errors = np.abs(first.astype(np.float64) - second.astype(np.float64))
    largest = errors >= errors.max(initial=0) * (1 - 1e-9)  # the others are smaller, whatever rounding did
    pairs = zip(*(part[largest].astype(np.float64).tolist() for part in (first, second)), strict=True)
    return max((abs(Fraction(a) - Fraction(b)) for a, b in pairs), default=Fraction(0))


def check_case(case: Case, path: Path) -> str:
    """Compress and decode what a case says, and check every promise.

    Returns:
        ``"kept"``, or ``"refused"`` where the target is not possible on such a volume.
    """
    with np.errstate(invalid="ignore"):  # bfloat16 warns of NaN
        example = make_example(case)
    values = example.values
    try:
        nvc_jax.compress(example.source, path, **example.options)
    except ValueError as error:
        low, high = (_number(limit) for limit in _range(values, example.valid))
        width = float(high) - float(low)
        factor = example.options[case.target] if case.target == "relative_error" else 1.0
        is_beyond = case.target not in ("max_error", "lossless", "pointwise_error") and not math.isfinite(
            width * factor
        )
        is_tiny = case.target == "psnr" and width < _TINY_WIDTH
        if not (
            (is_beyond and "beyond float64's" in str(error)) or (is_tiny and "reached at best" in str(error))
        ):
            raise
        return "refused"
    described = nvc_jax.info(path)
    decoded = np.asarray(nvc_jax.open(path).read().result())
    assert decoded.dtype == values.dtype
    assert decoded.shape == values.shape

    with np.errstate(invalid="ignore"):
        _check_decoded(case, example, decoded, described)
    nvc_jax.verify(example.source, path)
    return "kept"


def _check_decoded(case: Case, example: Example, decoded: np.ndarray, described: dict[str, Any]) -> None:
    """Check every promise that decoded values can break."""
    values = example.values
    missing = np.array(described["fill_values"], values.dtype)
    valid = example.valid & ~np.isin(values, missing)
    bits = f"u{values.dtype.itemsize}"
    np.testing.assert_array_equal(decoded.view(bits)[~valid], values.view(bits)[~valid])
    assert np.isfinite(decoded[valid]).all()
    assert not np.isin(decoded[valid], missing).any(), "an ordinary value became a missing one"
    exact = np.isin(values, np.array(example.options.get("exact_values", ()), values.dtype)) & valid
    np.testing.assert_array_equal(decoded.view(bits)[exact], values.view(bits)[exact])

    error = exact_error(values[valid], decoded[valid])
    stated = Fraction(described["max_error"])
    assert abs(stated - error) <= error * _ROUNDING, (
        f"states {described['max_error']}, but it is {float(error)}"
    )
    low, high = _range(values, valid)
    is_unbounded = described["bound"] is None and case.target != "pointwise_error"
    if valid.any() and (is_unbounded or "value_limits" in example.options):
        smallest, largest = decoded[valid].min(), decoded[valid].max()
        limits = example.options.get("value_limits", (None, None))
        if is_unbounded or limits[0] is not None:
            assert low <= smallest, "a value left the range"
        if is_unbounded or limits[1] is not None:
            assert largest <= high, "a value left the range"
    if case.target is not None and values.dtype.kind != "b":
        value = example.options[case.target]
        width = Fraction(_number(high)) - Fraction(_number(low))
        TARGETS[case.target][1](value, error, width, values[valid], decoded[valid], described)
    elif values.dtype.kind == "b":
        assert error == 0


def _check_max_error(value: float, error: Fraction, *_: Any) -> None:
    assert error <= Fraction(value), f"wrong by {float(error)}, the bound is {value}"


def _check_relative_error(
    value: float, error: Fraction, width: Fraction, values: np.ndarray, decoded: np.ndarray, described: dict
) -> None:
    assert error <= Fraction(described["bound"])
    # Below the smallest float64, half of which is the most that rounding adds, nothing is relative.
    assert Fraction(described["bound"]) <= Fraction(value) * width * (1 + _ROUNDING) + Fraction(5e-324)


def _check_pointwise_error(
    value: float, error: Fraction, width: Fraction, values: np.ndarray, decoded: np.ndarray, described: dict
) -> None:
    if described["target"] == {"lossless": True}:
        assert not error
    wide = np.float64 if is_float(values.dtype) else object
    pairs = set(zip(values.astype(wide).tolist(), decoded.astype(wide).tolist(), strict=True))
    for original, other in pairs:
        assert abs(Fraction(original) - Fraction(other)) <= Fraction(value) * abs(Fraction(original))
        assert np.sign(original) == np.sign(other)


def _check_psnr(
    value: float, error: Fraction, width: Fraction, values: np.ndarray, decoded: np.ndarray, described: dict
) -> None:
    if not error:
        return
    if is_float(values.dtype):
        shares = values.astype(np.float64) / float(width) - decoded.astype(np.float64) / float(width)
    else:
        shares = (values.astype(object) - decoded.astype(object)).astype(np.float64) / float(width)
    reached = -10 * math.log10(float(np.mean(shares**2)) or 1e-300)
    assert reached >= value - 0.1, f"reaches {reached} dB, not {value}"


def _check_lossless(
    value: bool, error: Fraction, width: Fraction, values: np.ndarray, decoded: np.ndarray, described: dict
) -> None:
    bits = f"u{values.dtype.itemsize}"
    np.testing.assert_array_equal(decoded.view(bits), values.view(bits))


def _bound(case: Case, width: float) -> float:
    """Bound of so many decades below the range, or an extreme one."""
    if case.strength == -400:
        return 5e-324
    if case.strength == 400:
        return 1e308
    bound = 10.0**case.strength * float(width) if math.isfinite(float(width)) else 10.0**case.strength
    return bound if math.isfinite(bound) else 1e308


TARGETS: dict[str, tuple[Callable[[Case, float], Any], Callable[..., None]]] = {
    "max_error": (_bound, _check_max_error),
    "relative_error": (lambda case, _: 10.0 ** min(max(case.strength, -300), 1), _check_relative_error),
    "psnr": (lambda case, _: 10 + 8 * min(max(-case.strength, 0), 10), _check_psnr),
    "step": (lambda case, _: 10.0 ** min(max(case.strength / 3, -3), -0.3), lambda *_: None),
    "pointwise_error": (lambda case, _: 10.0 ** min(max(case.strength, -12), -0.01), _check_pointwise_error),
    "lossless": (lambda *_: True, _check_lossless),
}
"""For each target its value in a case, by the width of the range, and a check of it."""


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """Make a directory in memory where there is such a place."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        yield Path(directory)


class Outcomes:
    """Outcomes of the cases so far."""

    def __init__(self) -> None:
        self.n_cases, self.slowest_seconds = 0, 0.0
        self.counts: Counter[str] = Counter()
        self.faults: list[dict[str, str]] = []

    def run(self, count: int, seed: int) -> None:
        """Check that many cases; the smallest one that breaks a promise is kept."""
        last: list[Case] = []
        settings = hypothesis.settings(
            max_examples=count,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
        )

        @hypothesis.seed(seed)
        @settings
        @hypothesis.given(st.one_of([cases(chunk) for chunk in CHUNKS]))
        def check(case: Case) -> None:
            last[:] = [case]
            start = time.perf_counter()
            with temporary_directory() as directory:
                outcome = check_case(case, directory / "v.zarr")
            self.n_cases += 1
            self.slowest_seconds = max(self.slowest_seconds, time.perf_counter() - start)
            axes = f"{len(case.shape)} axes"
            for name in (outcome, case.dtype, axes, f"target {case.target}", f"values {case.values}"):
                self.counts[name] += 1

        try:
            check()
        except Exception:
            self.faults.append({"case": repr(last[0]), "fault": traceback.format_exc()})
            print(last[0], self.faults[-1]["fault"], flush=True)


def main() -> int:
    """Check cases as the command line says; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m fuzz.properties", description="check promises of nvc_jax"
    )
    parser.add_argument("--cases", type=int, default=1000, help="number of cases (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: 0)")
    parser.add_argument("--record", type=Path, help="JSON file in which the outcome is recorded")
    options = parser.parse_args()

    outcomes, header, start, batch = Outcomes(), describe_run(), time.monotonic(), 0
    content: dict[str, Any] = {}
    while outcomes.n_cases < options.cases:
        outcomes.run(min(_BATCH, options.cases - outcomes.n_cases), options.seed + batch)
        batch += 1
        content = {
            **header,
            "seed": options.seed,
            "seconds": round(time.monotonic() - start, 1),
            "cases": outcomes.n_cases,
            "broken": len(outcomes.faults),
            "slowest_seconds": round(outcomes.slowest_seconds, 3),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
            "counts": dict(sorted(outcomes.counts.items())),
            "faults": outcomes.faults,
        }
        if options.record is not None:
            write_record(options.record, content)
    print({name: value for name, value in content.items() if name != "faults"})
    return 1 if outcomes.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
