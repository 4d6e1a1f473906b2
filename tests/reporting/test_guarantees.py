import dataclasses

import pytest

import nvc_jax
from nvc_jax.reporting.guarantees import state_guarantees

INFO = {"target": {"max_error": 2.0}, "bound": 2.0, "minimum": 0.0, "maximum": 200.0, "fill_values": []}


def test_a_bound_is_stated_and_checked(stored) -> None:
    guarantees = state_guarantees(nvc_jax.info(stored.container), stored.excerpt, 1.9)
    assert guarantees.headline == "Every voxel within ±2"
    assert guarantees.is_kept is True
    text = " ".join(guarantees.promises)
    assert "No value differs from the original by more than 2, 1.29 % of the range." in text
    assert "60 of the values shown are such" in text
    assert "nvc verify" in text
    assert state_guarantees(INFO, stored.excerpt, 2.1).is_kept is False


@pytest.mark.parametrize(
    ("target", "headline", "is_kept"),
    [
        ({"pointwise_error": 0.5}, "Every voxel within 50 % of itself", True),
        ({"pointwise_error": 1e-9}, "Every voxel within 1e-07 % of itself", False),
        ({"psnr": 40.0}, "No bound on single voxels", None),
        ({"step": 0.1}, "No bound on single voxels", None),
    ],
)
def test_other_targets_are_told_apart(target: dict, headline: str, is_kept: bool | None, stored) -> None:
    excerpt = stored.excerpt
    if is_kept:
        excerpt = dataclasses.replace(excerpt, decoded=excerpt.original)
    guarantees = state_guarantees(INFO | {"target": target, "bound": None}, excerpt, 1.0)
    assert (guarantees.headline, guarantees.is_kept) == (headline, is_kept)


def test_lossless_means_every_bit(stored) -> None:
    info = INFO | {"target": {"lossless": True}, "bound": 0.0}
    copy = dataclasses.replace(stored.excerpt, decoded=stored.excerpt.original)
    assert state_guarantees(info, copy, 0.0).is_kept is True
    assert state_guarantees(info, stored.excerpt, 0.0).is_kept is False


def test_rules_of_values_are_stated(stored) -> None:
    info = INFO | {"fill_values": [-9999.0], "value_limits": [0, None], "exact_values": [0.0]}
    text = " ".join(state_guarantees(info, stored.excerpt, 1.0).promises)
    assert "(stated: -9999)" in text
    assert "less than 0 or more than any number" in text
    assert "one of 0, it comes back exactly" in text
