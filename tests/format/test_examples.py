"""The examples and the check values in ``FORMAT.md`` are right."""

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from reference_common import take_varints
from reference_container import crc32c, open_chunk, read_metadata
from reference_decoder import decode, parse_payload
from reference_integers import decode_coded_integers
from reference_steps import predict
from reference_streams import (
    EXPECTED,
    MAX_SUM,
    RATIOS,
    choose_table,
    first_sum,
    geometric_tables,
    open_stream,
    slot_ends,
    thresholds,
)
from reference_transform import Axis, axis_matrix, divide, emphasis_matrix, filter_matrix, frequency, norms

import nvc_jax
from nvc_jax.entropy.lorenzo import encode_integers

FORMAT = (Path(__file__).parents[2] / "FORMAT.md").read_text()
INTEGERS = np.array([[[5, 5, 4, 6], [5, 5, 33, 6]]], np.int64)
"""The integers of the example of a stream."""
INTEGERS_PADDED_SHAPE = (4, 4, 4)


def fenced(language: str) -> list[str]:
    """Return the contents of the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", FORMAT, re.DOTALL)


def parse_hex(listing: str) -> bytes:
    """Return the bytes of a listing whose lines are offset, bytes and meaning; check the offsets."""
    data = b""
    for line in listing.splitlines():
        match = re.fullmatch(r"([0-9a-f]{4}): ([0-9a-f ]+?) *(?:;.*)?", line)
        assert match
        assert int(match[1], 16) == len(data)
        data += bytes.fromhex(match[2])
    return data


def example_volume() -> np.ndarray:
    volume = np.full((2, 2, 2), 1.5, np.float32)
    volume[1, 0, 1] = np.nan
    return volume


def test_the_example_container_is_what_the_package_writes(tmp_path: Path) -> None:
    nvc_jax.compress(example_volume(), tmp_path / "v.zarr", lossless=True)
    written = json.loads((tmp_path / "v.zarr" / "zarr.json").read_text())
    shown = json.loads(fenced("json")[0])
    assert len((tmp_path / "v.zarr" / "zarr.json").read_bytes()) == len(fenced("json")[0].replace("\n", ""))
    for metadata in (written, shown):  # another model may ship one day
        for name in ("sha256", "id"):
            del metadata["codecs"][0]["configuration"][name]
    assert written == shown
    chunk = (tmp_path / "v.zarr" / "c" / "0" / "0" / "0").read_bytes()
    assert chunk[:-4] == parse_hex(fenced("hex")[0])[:-4]


def test_the_example_container_decodes_to_its_volume(tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_text(fenced("json")[0].replace("\n", ""))
    payload = open_chunk(parse_hex(fenced("hex")[0]), read_metadata(tmp_path), (0, 0, 0))
    np.testing.assert_array_equal(decode(payload, (8, 8, 8), np.dtype("float32"), {}), example_volume())
    assert parse_payload(payload, (8, 8, 8)).max_error == 0
    assert crc32c(b"123456789") == 0xE3069283


def test_the_example_stream_is_what_the_package_writes_and_decodes() -> None:
    section = parse_hex(fenced("hex")[1])
    assert section == encode_integers(INTEGERS, INTEGERS_PADDED_SHAPE)
    decoded = decode_coded_integers(section, INTEGERS.shape, INTEGERS_PADDED_SHAPE)
    np.testing.assert_array_equal(decoded, INTEGERS)


def trace(section: bytes) -> Iterator[str]:
    """Yield the rows of the table that follows the example stream, one for each dimension."""
    scales = [section[3]] * 64
    (n_lanes, n_outliers), start = take_varints(section, 2, 12)
    assert n_outliers == 0
    stream = open_stream(section[start:], n_lanes, 1, 64)
    ends, total = slot_ends(geometric_tables()), first_sum(scales)
    for dimension in range(64):
        number = choose_table(scales[0], total, thresholds(scales, dimension))
        state, words = stream.states[0], len(stream.pools[0])
        slot = state & 4095
        token = bisect_right(ends[number], slot)
        integer = stream.take_integer(0, ends[number])
        columns = (dimension, total, number, state, slot, token, integer, words - len(stream.pools[0]))
        yield f"| {' | '.join(map(str, columns))} | {stream.states[0]} |"
        total = min(total + 256 * abs(integer), MAX_SUM)
    stream.finish()


def test_the_example_stream_is_traced_token_by_token() -> None:
    rows = list(trace(parse_hex(fenced("hex")[1])))
    for row in [*rows[:10], rows[-1]]:
        assert row in FORMAT


def check_values() -> Iterator[str]:
    """Yield the lines of the check values."""
    tables = geometric_tables()
    for j in (0, 12, 31):
        yield f"| {j} | {', '.join(str(f) for f in tables[j])} |"
    yield f"`{hashlib.sha256(tables.astype('<u2').tobytes()).hexdigest()}`"
    for filter_ in (1, 2, 3):
        yield from matrix_rows(f"inverse(R) of filter {filter_}", np.linalg.inv(filter_matrix(filter_)))
    yield from matrix_rows("inverse(E)", np.linalg.inv(emphasis_matrix()))
    for valid, length in ((21, 16), (24, 8), (53, 32)):
        yield f"| {valid} | {length} | {frequencies_by_block(valid, length)} |"
    for name, axis in AXES.items():
        yield f"| {name} | {axis.padded} | {axis.valid} | {axis.length} | {axis.filter} |"
        yield f"| norm of {name} | {numbers(norms(axis)[: axis.valid])} |"
        for row in (0, 7, 12):
            yield f"| A of {name}, row {row} | {numbers(axis_matrix(axis)[row, : axis.valid])} |"
    before = np.zeros((8, 8, 8))
    before[0, 2, 3] = 512
    for weights in ([0, 63, 0, 0], [0, 0, 63, 0], [0, 0, 0, 63], [20, 24, 12, 8]):
        row = predict(before[:7], weights, before.shape)[1, 2]
        yield f"| {', '.join(map(str, weights))} | {numbers(row)} |"


AXES = {
    "a": Axis(padded=16, valid=16, length=8, filter=3, first=False, last=False),
    "b": Axis(padded=16, valid=13, length=8, filter=2, first=True, last=False),
    "c": Axis(padded=16, valid=16, length=16, filter=0, first=True, last=True),
}
"""Axes whose matrices are among the check values."""


def frequencies_by_block(valid: int, length: int) -> str:
    """List the frequencies of all coefficients of an axis; blocks are separated by semicolons."""
    blocks = []
    for segment in divide(valid, length):
        for turn in range(segment.n_blocks):
            positions = range(min(8, segment.length - 8 * turn))
            blocks.append(" ".join(str(frequency(segment, turn, position)) for position in positions))
    return "; ".join(blocks)


def matrix_rows(name: str, matrix: np.ndarray) -> Iterator[str]:
    for number, row in enumerate(matrix):
        yield f"| {name}, row {number} | {numbers(row)} |"


def numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.6f}" for value in values)


def test_check_values_are_those_of_the_reference_decoder() -> None:
    for line in check_values():
        assert line in FORMAT


def test_tables_of_expected_magnitudes_and_ratios_are_those_of_the_reference_decoder() -> None:
    for start in range(0, 32, 8):
        assert f"| {', '.join(map(str, EXPECTED[start : start + 8]))} |" in FORMAT
    assert f"| {', '.join(map(str, RATIOS[:9]))} |" in FORMAT
    assert f"| {', '.join(map(str, RATIOS[9:]))} |" in FORMAT
