import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from container_metadata import METADATA, SHARD
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.container.configuration import identify
from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.core.chunk_interfaces import ChunkFormat, ValueRange
from nvc_jax.core.dtypes import DTYPES, integer_limits, is_float, is_long_integer

SIDES = st.integers(1, 2**9)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
MODERATE = st.floats(-1e150, 1e150)
NOT_NEGATIVE = st.floats(0, 1e150)
TARGETS = st.one_of(
    *(
        st.fixed_dictionaries({name: NOT_NEGATIVE})
        for name in ("max_error", "relative_error", "psnr", "step")
    ),
    st.sampled_from([{"lossless": True}, {"latents": True}]),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


LIMITS = st.tuples(st.just(-math.inf) | FINITE, st.just(math.inf) | FINITE).filter(
    lambda ends: ends[0] <= ends[1]
)


def values_of(dtype: str) -> st.SearchStrategy[float]:
    """Numbers that are values of a dtype."""
    if dtype == "bfloat16":
        return st.floats(-(2.0**99), 2.0**99, width=32).map(lambda value: float(np.dtype(dtype).type(value)))
    if is_float(np.dtype(dtype)):
        width = {"float16": 16, "float32": 32, "float64": 64}[dtype]
        limit = {16: 6e4, 32: 1e30, 64: 1e150}[width]
        return st.floats(float(np.dtype(dtype).type(-limit)), float(np.dtype(dtype).type(limit)), width=width)
    kind = np.dtype(dtype)
    return st.integers(*integer_limits(kind)).map(int if is_long_integer(kind) else float)


@st.composite
def metadata(draw: st.DrawFn) -> ContainerMetadata:
    rank, dtype = draw(st.integers(2, 5)), draw(st.sampled_from(DTYPES))
    shapes = st.tuples(*[SIDES] * rank)
    ones = (1,) * (rank - 3)
    chunks = shapes.map(lambda sides: [*ones, *sides[len(ones) :]]).flatmap(st.permutations).map(tuple)
    chunk = draw(chunks)
    factors = draw(st.none() | st.tuples(*[st.integers(1, 8)] * rank))
    minimum, maximum = sorted((draw(values_of(dtype)), draw(values_of(dtype))))
    target = draw(TARGETS)
    step = target["step"] * draw(st.sampled_from([1.0, maximum - minimum, 3.0])) if "step" in target else None
    return ContainerMetadata(
        shape=draw(shapes | st.just(chunk)),
        dtype=dtype,
        chunk=chunk,
        model=draw(st.none() | st.text()),
        sha256=draw(st.text("0123456789abcdef", min_size=16, max_size=64)),
        target=target,
        minimum=minimum,
        maximum=maximum,
        missing_values=tuple(draw(st.lists(FINITE, max_size=3))),
        valid_limits=draw(LIMITS),
        value_limits=draw(LIMITS),
        exact_values=tuple(draw(st.lists(FINITE, max_size=3))),
        max_error=draw(st.none() | NOT_NEGATIVE),
        step=draw(st.none() | NOT_NEGATIVE) if step is None else step,
        embedded=draw(st.none() | st.dictionaries(st.text(), JSON_VALUES, max_size=2)),
        shard=None if factors is None else tuple(n * side for n, side in zip(factors, chunk, strict=True)),
        fingerprint=draw(st.none() | st.integers(1, 2**32 - 1)),
        dimension_names=draw(st.tuples(*[st.none() | st.text()] * rank)),
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
    (nvc,) = document["codecs"]
    assert nvc["name"] == "nvc"
    assert nvc["configuration"] == {
        "model": "nvc-1",
        "sha256": "0" * 64,
        "shape": [5, 8, 20],
        "range": [-3, 40],
        "fill_values": [-9],
        "lossless": True,
        "id": nvc["configuration"]["id"],
    }
    with_attributes = dataclasses.replace(METADATA, attributes={"unit": "K"}).to_json()
    assert with_attributes["attributes"] == {"unit": "K"}


def test_the_text_is_short() -> None:
    text = dataclasses.replace(METADATA, dtype="float32", minimum=-3.5, maximum=np.float32(1e30)).to_text()
    assert " " not in text
    assert '"range":[-3.5,1e+30],"lossless":true,"id":"' in text


def test_the_codecs_of_a_shard_are_those_of_its_chunks() -> None:
    document = dataclasses.replace(METADATA, shard=SHARD).to_json()
    (sharding,) = document["codecs"]
    assert sharding["name"] == "sharding_indexed"
    assert sharding["configuration"]["chunk_shape"] == [8, 8, 8]
    assert sharding["configuration"]["codecs"] == METADATA.to_json()["codecs"]
    assert document["chunk_grid"]["configuration"]["chunk_shape"] == list(SHARD)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("zarr_format", 2, "no nvc container"),
        ("codecs", [], "no Zarr v3 array"),
        ("codecs", [{"name": "bytes"}], "no nvc container"),
        ("codecs", [*METADATA.to_json()["codecs"], {"name": "crc32c"}], "must be `nvc` alone, not 2"),
        ("shape", [5, 8], r"must be that of the volume, \(5, 8, 20\)"),
        ("shape", [5], "2 to 5 axes"),
        ("shape", [5, 8, 0], "each a positive integer"),
        ("shape", [5, 8, 20.0], "each a positive integer"),
        ("shape", "585", "2 to 5 axes"),
        ("shape", [5, 8, 21], r"`shape` \(=\(5, 8, 21\)\) must be that of the volume, \(5, 8, 20\)"),
        ("shape", [1 << 34] * 3, "more than 9007199254740992 voxels"),
        ("data_type", "complex64", "complex64"),
        ("data_type", ["int16"], "damaged"),
        ("attributes", [1], "`attributes`"),
        ("dimension_names", 3, "damaged"),
        ("dimension_names", ["y", "x"], "must be those of 3 axes"),
    ],
)
def test_other_documents_are_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        ContainerMetadata.from_json(METADATA.to_json() | {field: value})


@pytest.mark.parametrize("field", ["fill_values", "exact_values", "valid_limits", "value_limits", "range"])
@pytest.mark.parametrize("number", ["1", "NaN", True, math.nan, math.inf, 10**400, [1]])
def test_only_finite_numbers_are_numbers(field: str, number: Any) -> None:
    document = METADATA.to_json()
    configuration = document["codecs"][0]["configuration"]
    configuration[field] = [number, number]
    with pytest.raises(FormatError):
        ContainerMetadata.from_json(document)
    if number != 10**400:  # which has no checksum
        configuration["id"] = identify(configuration, METADATA.chunk, METADATA.dtype)
        with pytest.raises(FormatError, match=f"`{field}`"):
            ContainerMetadata.from_json(document)


def test_a_step_must_not_contradict_the_target() -> None:
    document = dataclasses.replace(METADATA, target={"step": 0.5}, max_error=None, step=20.0).to_json()
    configuration = document["codecs"][0]["configuration"]
    configuration["step"] = None
    configuration["id"] = identify(configuration, METADATA.chunk, METADATA.dtype)
    with pytest.raises(FormatError, match=r"`step` .* contradicts the target"):
        ContainerMetadata.from_json(document)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [([8192] * 3, "more than 268435456 voxels"), ([8, 8, -8], "positive integer"), (None, "2 to 5 axes")],
)
def test_impossible_chunks_are_refused(chunk: Any, message: str) -> None:
    document = METADATA.to_json()
    document["chunk_grid"]["configuration"]["chunk_shape"] = chunk
    with pytest.raises(FormatError, match=message):
        ContainerMetadata.from_json(document)


def test_names_and_attributes_may_be_changed() -> None:
    document = METADATA.to_json() | {"attributes": {"units": "K"}, "dimension_names": ["a", "b", "c"]}
    changed = ContainerMetadata.from_json(document)
    assert changed.attributes == {"units": "K"}
    assert changed.identity == METADATA.identity


def test_the_identity_of_a_stored_container_is_the_stored_one() -> None:
    """Another writer may state what follows from other fields."""
    document = METADATA.to_json()
    configuration = document["codecs"][0]["configuration"] | {"bound": 0.0}
    configuration["id"] = identify(configuration, METADATA.chunk, METADATA.dtype)
    document["codecs"][0]["configuration"] = configuration
    read = ContainerMetadata.from_json(document)
    assert read == METADATA
    assert read.identity.hex() == configuration["id"] != METADATA.identity.hex()
    assert dataclasses.replace(read, step=2.0).identity != read.identity


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
