import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from container_metadata import METADATA, packed_payload
from model_kinds import registered
from tiny_model.config import BlockMeanConfig
from tiny_model.model import BlockMeanModel
from tiny_model.training import BlockMeanTraining

from nvc_jax.container.metadata import FormatError
from nvc_jax.container.model import describe_model, load_model, make_decoder
from nvc_jax.models.checkpoints import find_checkpoint, load_checkpoint
from nvc_jax.models.embedded import embed_model
from nvc_jax.models.identity import model_sha256
from nvc_jax.models.registry import ModelKind

CONFIG, PARAMS = BlockMeanConfig(block_size=4), {"pattern": np.zeros((4, 4, 4), np.float32)}
EMBEDDED = dataclasses.replace(
    METADATA, embedded=embed_model(CONFIG, PARAMS), sha256=model_sha256(CONFIG, PARAMS)
)


@pytest.fixture(autouse=True)
def tiny() -> Iterator[None]:
    with registered(ModelKind(BlockMeanConfig, BlockMeanModel, BlockMeanTraining)):
        yield


def test_an_embedded_model_is_loaded() -> None:
    codec = load_model(EMBEDDED)
    assert codec.config == CONFIG
    np.testing.assert_array_equal(codec.params["pattern"], PARAMS["pattern"])


def test_a_shipped_model_is_found_by_its_sha256_whatever_its_name() -> None:
    config, params = load_checkpoint("zero-margin")
    codec = load_model(dataclasses.replace(METADATA, model="mine", sha256=model_sha256(config, params)))
    assert codec.config == config
    jax.tree.map(np.testing.assert_array_equal, codec.params, params)
    with pytest.raises(FileNotFoundError, match="neither embedded nor a shipped model"):
        load_model(METADATA)


def test_a_shipped_model_is_found_by_its_first_digits_and_described() -> None:
    sha256 = model_sha256(*load_checkpoint("zero-margin"))
    short = dataclasses.replace(METADATA, model=None, sha256=sha256[:16])
    assert load_model(short).config == load_checkpoint("zero-margin")[0]
    assert describe_model(short) == ("zero-margin", sha256)
    assert describe_model(dataclasses.replace(EMBEDDED, model="mine")) == ("mine", EMBEDDED.sha256)
    assert describe_model(dataclasses.replace(METADATA, model=None)) == ("unknown", "0" * 64)


@pytest.mark.parametrize("name", ["two-wide-margin", "", "./elsewhere", "/", "0"])
def test_a_sha256_is_no_name_and_no_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(find_checkpoint("zero-margin"), tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    for path in (name, str(tmp_path / "elsewhere")):
        with pytest.raises(FileNotFoundError, match="neither embedded nor a shipped model"):
            load_model(dataclasses.replace(METADATA, sha256=path))


def test_damaged_and_other_models_are_errors_of_the_container() -> None:
    with pytest.raises(FormatError, match="not the one of SHA-256 0000"):
        load_model(dataclasses.replace(EMBEDDED, sha256="0" * 64))
    with pytest.raises(FormatError, match="the embedded model is damaged"):
        load_model(dataclasses.replace(EMBEDDED, embedded={}))


def test_the_decoder_decodes_chunks_of_the_container() -> None:
    values = np.arange(5 * 8 * 8, dtype=np.int16).reshape(5, 8, 8)
    decoder = make_decoder(EMBEDDED, "crop")
    within = values.clip(-3, 40)  # the range of the volume
    np.testing.assert_array_equal(decoder.decode(packed_payload(within)), within)
    np.testing.assert_array_equal(decoder.decode(packed_payload(values)), within)
    with pytest.raises(ValueError, match="do not hold 640 bytes"):
        decoder.decode(packed_payload(values.astype(np.int32)))


def test_chunks_that_contradict_the_model_are_errors() -> None:
    with pytest.raises(FormatError, match=r"chunks \(8, 8, 6\) are no multiples of its model's blocks"):
        make_decoder(dataclasses.replace(EMBEDDED, chunk=(8, 8, 6)), "crop")
    config, params = load_checkpoint("zero-margin")
    latents = dataclasses.replace(METADATA, sha256=model_sha256(config, params), step=1e5)
    with pytest.raises(FormatError, match="holds what its model does not decode: `step`"):
        make_decoder(latents, "crop")
