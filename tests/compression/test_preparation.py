import jax
import numpy as np
import pytest

from nvc_jax.compression.preparation import ValueOptions, prepare
from nvc_jax.models.codec import Codec, load_codec
from nvc_jax.models.identity import model_sha256

LABELS = np.repeat(np.arange(4, dtype=np.uint8), 16**3).reshape(4, 16, 16, 16).reshape(64, 16, 16)


def test_labels_are_lossless_unless_a_target_is_named() -> None:
    prepared = prepare(LABELS, "nvc-1", ValueOptions())
    assert prepared.target == {"lossless": True}
    assert prepared.with_target(psnr=40).target == {"psnr": 40}
    assert prepared.with_target().target == {"lossless": True}
    assert prepare(LABELS > 1, "nvc-1", ValueOptions(), psnr=40).target == {"lossless": True}
    assert prepare(LABELS.astype(np.float32), "nvc-1", ValueOptions()).target == {"relative_error": 1e-3}


def test_rules_are_added_to_a_range() -> None:
    values = ValueOptions(missing_values=[9], value_limits=(0, None), exact_values=[1])
    rules = prepare(LABELS, "nvc-1", values).rules
    assert rules.declared.missing_values == (9,)
    assert (rules.value_limits, rules.exact_values) == ((0, float("inf")), (1,))


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match="`value_limits`"):
        prepare(LABELS, "nvc-1", ValueOptions(value_limits=(2, 1)))
    with pytest.raises(TypeError, match="`psnr`"):
        prepare(LABELS, "nvc-1", ValueOptions(), psnr="high")


def test_the_identity_is_that_of_the_parameters_at_hand() -> None:
    shipped = load_codec("nvc-1")
    codec = Codec(shipped.config, jax.tree.map(np.array, shipped.params))
    identity = model_sha256(codec.config, codec.params)
    assert {prepare(LABELS, model, ValueOptions()).sha256 for model in ("nvc-1", codec)} == {identity}
    assert codec.sha256 == identity
    next(leaf for leaf in jax.tree.leaves(codec.params) if leaf.size)[...] += 1
    assert (
        prepare(LABELS, codec, ValueOptions()).sha256 == model_sha256(codec.config, codec.params) != identity
    )
