import math
from typing import Any

import numpy as np
import pytest
from container_metadata import METADATA

from nvc_jax.container.configuration import FormatError, identify, read_configuration, state_configuration

FIELDS = {
    "shape": (5, 8, 20),
    "chunk": (8, 8, 8),
    "dtype": "float32",
    "model": None,
    "sha256": "0" * 16,
    "target": {"relative_error": 0.25},
    "minimum": -2.0,
    "maximum": 6.0,
    "missing_values": (-9.0,),
    "valid_limits": (-3.0, math.inf),
    "value_limits": (-math.inf, math.inf),
    "exact_values": (0.0, 1.0),
    "max_error": 2.0,
    "step": None,
    "embedded": None,
    "fingerprint": 7,
}
STATED = state_configuration(FIELDS)


def read(configuration: Any) -> dict[str, Any]:
    return read_configuration(configuration, FIELDS["chunk"], FIELDS["dtype"])


def with_id(configuration: dict[str, Any]) -> dict[str, Any]:
    """Give a configuration the identity that it should have."""
    return configuration | {"id": identify(configuration, FIELDS["chunk"], FIELDS["dtype"])}


def change(**changes: Any) -> dict[str, Any]:
    """Change fields of a configuration, with a matching identity; None removes a field."""
    return with_id({name: value for name, value in (STATED | changes).items() if value is not None})


def test_fields_come_back() -> None:
    assert read(STATED) == FIELDS


@pytest.mark.parametrize(
    ("target", "bound", "step", "stated"),
    [
        ({"max_error": 0.5}, 0.5, None, {"max_error": 0.5}),
        ({"max_error": 0.5}, None, 3.0, {"max_error": 0.5, "bound": None, "step": 3}),
        ({"relative_error": 0.25}, 2.0, None, {"relative_error": 0.25}),
        ({"pointwise_error": 0.25}, None, None, {"pointwise_error": 0.25}),
        ({"lossless": True}, 0.0, None, {"lossless": True}),
        ({"psnr": 45.0}, None, 0.125, {"psnr": 45, "step": 0.125}),
        ({"latents": True}, None, None, {"latents": True}),
        ({"step": 0.25}, None, 2.0, {"relative_step": 0.25}),
        ({"step": 0.25}, None, 0.25, {"step": 0.25}),
        ({"step": 0.25}, None, 0.5, {"relative_step": 0.25, "step": 0.5}),
    ],
)
def test_what_follows_is_not_stated(
    target: dict[str, Any], bound: float | None, step: float | None, stated: dict[str, Any]
) -> None:
    fields = FIELDS | {"target": target, "max_error": bound, "step": step}
    configuration = state_configuration(fields)
    common = {"sha256", "shape", "range", "fill_values", "valid_limits", "exact_values", "id"}
    assert {name: value for name, value in configuration.items() if name not in common} == stated
    assert read(configuration) == fields


def test_the_shape_of_a_single_chunk_is_not_stated() -> None:
    assert STATED["shape"] == [5, 8, 20]
    single = state_configuration(FIELDS | {"shape": (8, 8, 8)})
    assert "shape" not in single
    assert read(single)["shape"] == (8, 8, 8)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_ranges_are_short_and_exact(dtype: str) -> None:
    low, high = (float(np.dtype(dtype).type(value)) for value in (-0.1, 1 / 3))
    configuration = state_configuration(FIELDS | {"dtype": dtype, "minimum": low, "maximum": high})
    assert configuration["range"][0] == -0.1
    read_back = read_configuration(configuration, FIELDS["chunk"], dtype)
    assert (read_back["minimum"], read_back["maximum"]) == (low, high)


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (change(version=2), r"`version` \(=2\) must be 1: upgrade"),
        (change(version=True), r"`version` \(=True\) must be 1: upgrade"),
        (None, "must be an object"),
        ("nvc", "must be an object"),
    ],
)
def test_other_versions_are_refused(configuration: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(configuration)
    assert read(change(version=1)) == FIELDS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red", "age": 3}, "unknown fields: age, colour"),
        ({"range": [6, -2]}, "must be two numbers in order"),
        ({"range": [0, 1e39]}, "`range` .* must be finite"),
        ({"range": [0]}, "not enough values"),
        ({"range": [0, "1"]}, "must be a number"),
        ({"range": [False, True]}, "must be a number"),
        ({"relative_error": None}, "must state one target"),
        ({"psnr": 45}, "must state one target, not"),
        ({"relative_error": None, "lossless": 1}, "`lossless` .* must be true"),
        (
            {"relative_error": None, "max_error": -1},
            r"`bound` \(=-1.0\) must be a number that is not negative",
        ),
        *(
            ({"relative_error": None, "pointwise_error": value}, "must be above 0 and below 1")
            for value in (0, -0.1, 1, 2)
        ),
        ({"step": -1}, r"`step` \(=-1.0\)"),
        ({"step": "small"}, r"`step` \(='small'\) must be a number"),
        ({"step": [[[]]]}, "must be a number"),
        ({"fill_values": 3}, "not iterable"),
        ({"shape": [5]}, "2 to 5 axes"),
        ({"shape": [5, 8, 1 << 60]}, "voxels"),
        ({"sha256": "two-wide-margin"}, "`sha256` .* must be 16 to 64 hexadecimal digits"),
        ({"sha256": "0" * 15}, "`sha256`"),
        ({"sha256": 3}, "`sha256`"),
        ({"model": 3}, "`model` .* must be a text"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        read(change(**changes))


@pytest.mark.parametrize("field", ["sha256", "range", "id"])
def test_missing_fields_are_found(field: str) -> None:
    with pytest.raises(KeyError, match=field):
        read({name: value for name, value in STATED.items() if name != field})


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [5, 8, 21]},
        {"range": [-2, 6.5]},
        {"relative_error": 0.26},
        {"fill_values": [-8]},
        {"fill_values": []},
        {"step": 1},
        {"bound": None},
        {"sha256": "0" * 15 + "1"},
        {"sha256": "0" * 17},
        {"model": "nvc-1"},
        {"id": "00000008" + STATED["id"][8:]},
        {"id": STATED["id"][:-1] + "ab"[STATED["id"][-1] == "a"]},
    ],
)
def test_a_change_of_any_field_is_noticed(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="the metadata differ from those that were written"):
        read(STATED | changes)


def test_a_change_of_chunks_or_dtype_is_noticed() -> None:
    for chunk, dtype in (((8, 8, 16), "float32"), ((8, 8, 8), "float64")):
        with pytest.raises(FormatError, match="differ from those that were written"):
            read_configuration(STATED, chunk, dtype)


def test_texts_of_numbers_do_not_matter() -> None:
    """Another program may write the same JSON in another way."""
    rewritten = dict(reversed(STATED.items())) | {"range": [-2.0, 6.0], "fill_values": [-9.0], "version": 1}
    assert read(rewritten) == FIELDS


def test_identities_differ_by_source_and_by_metadata() -> None:
    identities = {STATED["id"]}
    for changes in ({"fingerprint": 8}, {"maximum": 7.0, "max_error": 2.25}, {"sha256": "1" * 16}):
        identities.add(state_configuration(FIELDS | changes)["id"])
    assert len(identities) == 4
    assert METADATA.configuration()["id"] == METADATA.identity.hex()
