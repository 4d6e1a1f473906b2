import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from container_metadata import METADATA, SHARD
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.container.metadata import ContainerMetadata, FormatError, read_configuration
from nvc_jax.core.chunk_interfaces import ChunkFormat, ValueRange
from nvc_jax.core.dtypes import DTYPES

SIDES = st.integers(1, 2**40)
SHAPES = st.tuples(SIDES, SIDES, SIDES)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NOT_NEGATIVE = st.floats(0, allow_infinity=False)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


LIMITS = st.tuples(st.just(-math.inf) | FINITE, st.just(math.inf) | FINITE).filter(
    lambda ends: ends[0] <= ends[1]
)


@st.composite
def metadata(draw: st.DrawFn) -> ContainerMetadata:
    chunk = draw(SHAPES)
    factors = draw(st.none() | st.tuples(*[st.integers(1, 8)] * 3))
    minimum, maximum = sorted((draw(FINITE), draw(FINITE)))
    return ContainerMetadata(
        shape=draw(SHAPES),
        dtype=draw(st.sampled_from(DTYPES)),
        chunk=chunk,
        model=draw(st.text()),
        sha256=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        target=draw(st.dictionaries(st.text(), FINITE | st.just(True), min_size=1, max_size=1)),
        minimum=minimum,
        maximum=maximum,
        missing_values=tuple(draw(st.lists(FINITE, max_size=3))),
        valid_limits=draw(LIMITS),
        value_limits=draw(LIMITS),
        exact_values=tuple(draw(st.lists(FINITE, max_size=3))),
        max_error=draw(st.none() | NOT_NEGATIVE),
        step=draw(st.none() | NOT_NEGATIVE),
        embedded=draw(st.none() | st.dictionaries(st.text(), JSON_VALUES, max_size=2)),
        shard=None if factors is None else tuple(n * side for n, side in zip(factors, chunk, strict=True)),
        fingerprint=draw(st.none() | st.integers(0, 2**32 - 1)),
        dimension_names=draw(st.tuples(*[st.none() | st.text()] * 3)),
        attributes=draw(st.dictionaries(st.text(), JSON_VALUES, max_size=3)),
    )


@given(metadata())
def test_metadata_come_back_from_json(written: ContainerMetadata) -> None:
    assert ContainerMetadata.from_json(json.loads(written.to_text())) == written


def test_the_document_is_that_of_a_zarr_array_of_the_codec_nvc() -> None:
    document = dataclasses.replace(METADATA, missing_values=(-9.0,)).to_json()
    assert document.keys() == {
        *("zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding"),
        *("fill_value", "codecs", "dimension_names"),
    }
    assert document["chunk_grid"] == {"name": "regular", "configuration": {"chunk_shape": [8, 8, 8]}}
    nvc, crc32c = document["codecs"]
    assert crc32c == {"name": "crc32c"}
    assert nvc["name"] == "nvc"
    assert nvc["configuration"] == {
        "version": 1,
        "model": "nvc-1",
        "sha256": "0" * 64,
        "target": {"lossless": True},
        "minimum": -3.0,
        "maximum": 40.0,
        "fill_values": [-9.0],
        "max_error": 0.0,
    }
    with_attributes = dataclasses.replace(METADATA, attributes={"unit": "K"}).to_json()
    assert with_attributes["attributes"] == {"unit": "K"}


def test_the_text_is_short() -> None:
    text = dataclasses.replace(METADATA, minimum=-3.5, maximum=1e30, missing_values=(-9.0,)).to_text()
    assert " " not in text
    assert '"minimum":-3.5,"maximum":1e+30,"fill_values":[-9],"max_error":0}' in text


def test_the_codecs_of_a_shard_are_those_of_its_chunks() -> None:
    document = dataclasses.replace(METADATA, shard=SHARD).to_json()
    (sharding,) = document["codecs"]
    assert sharding["name"] == "sharding_indexed"
    assert sharding["configuration"]["chunk_shape"] == [8, 8, 8]
    assert sharding["configuration"]["codecs"] == METADATA.to_json()["codecs"]
    assert document["chunk_grid"]["configuration"]["chunk_shape"] == list(SHARD)


def test_a_configuration_is_read_by_the_names_of_attributes() -> None:
    fields = read_configuration(dataclasses.replace(METADATA, missing_values=(-9.0,)).configuration())
    assert fields["missing_values"] == (-9.0,)
    assert "fill_values" not in fields
    without_defaults = {key: value for key, value in fields.items() if key != "missing_values"}
    assert without_defaults == {key: getattr(METADATA, key) for key in without_defaults}


def change_configuration(**changes: Any) -> dict[str, Any]:
    return METADATA.configuration() | changes


@pytest.mark.parametrize(
    ("configuration", "error", "message"),
    [
        (change_configuration(version=2), FormatError, r"`version` \(=2\) must be 1: upgrade"),
        ({}, FormatError, r"`version` \(=None\)"),
        (change_configuration(colour="red", age=3), ValueError, "unknown fields: age, colour"),
        (change_configuration(fill_values=None), TypeError, "NoneType"),
    ],
)
def test_other_configurations_are_refused(
    configuration: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_configuration(configuration)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minimum": None}, "damaged"),
        ({"minimum": 41.0}, "not finite and ordered"),
        ({"maximum": float("inf")}, "not finite and ordered"),
        ({"target": {}}, "must have one entry"),
        ({"target": [1]}, "must have one entry"),
        ({"max_error": -1.0}, r"`max_error` \(=-1.0\) must not be negative"),
        ({"step": float("nan")}, "`step`"),
        ({"step": "small"}, "damaged"),
        ({"colour": "red"}, "unknown fields: colour"),
        ({"fill_values": 3}, "damaged"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, Any], message: str) -> None:
    document = METADATA.to_json()
    document["codecs"][0]["configuration"].update(changes)
    with pytest.raises(FormatError, match=message):
        ContainerMetadata.from_json(document)


@pytest.mark.parametrize("field", METADATA.configuration())
def test_missing_fields_are_found(field: str) -> None:
    document = METADATA.to_json()
    del document["codecs"][0]["configuration"][field]
    if field == "max_error":  # its default is None
        metadata = ContainerMetadata.from_json(document)
        assert getattr(metadata, field) is None
        return
    with pytest.raises(FormatError, match=r"damaged|upgrade"):
        ContainerMetadata.from_json(document)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("zarr_format", 2, "no nvc container"),
        ("codecs", [], "no Zarr v3 array"),
        ("codecs", [{"name": "bytes"}], "no nvc container"),
        ("codecs", METADATA.to_json()["codecs"][:1], "must end in `crc32c`"),
        ("shape", [5, 8], "three axes"),
        ("shape", [5, 8, 0], "no side may be empty"),
        ("data_type", "complex64", "complex64"),
        ("attributes", [1], "`attributes`"),
    ],
)
def test_other_documents_are_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        ContainerMetadata.from_json(METADATA.to_json() | {field: value})


@pytest.mark.parametrize("document", [None, [], "zarr", {}, {"zarr_format": 3, "node_type": "group"}])
def test_documents_of_no_array_are_refused(document: Any) -> None:
    with pytest.raises(FormatError, match="no Zarr v3 array"):
        ContainerMetadata.from_json(document)


def test_grids_count_chunks_and_objects() -> None:
    assert METADATA.chunk_grid == METADATA.object_grid == (1, 1, 3)
    assert METADATA.chunks_per_object == (1, 1, 1)
    sharded = dataclasses.replace(METADATA, shard=SHARD)
    assert sharded.chunk_grid == (1, 1, 3)
    assert sharded.object_grid == (1, 1, 2)
    assert sharded.chunks_per_object == (1, 2, 2)


def test_the_chunks_have_dtype_range_and_step_in_common() -> None:
    value_range = ValueRange(-3.0, 40.0, (-9.0,))
    written = dataclasses.replace(METADATA, missing_values=(-9.0,), step=0.5)
    assert written.value_range == value_range
    assert written.chunk_format == ChunkFormat((8, 8, 8), np.dtype("int16"), value_range, 0.5)
