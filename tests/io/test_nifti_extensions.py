from pathlib import Path

import nibabel
import numpy as np
import pytest

import nvc_jax
from nvc_jax.io.nifti_extensions import add_extensions, read_extensions
from nvc_jax.io.volumes import read_metadata, read_volume

VOLUME = np.random.default_rng(0).normal(size=(12, 14, 16)).astype(np.float32)
CONTENTS = (
    (6, b"a remark of any length"),
    (4, b"<?xml version='1.0'?><AFNI_attributes/>"),
    (44, bytes(range(256))),
)


def save(path: Path, cls: type = nibabel.Nifti1Image) -> None:
    image = cls(VOLUME.T, np.diag([2, 3, 4, 1]))
    for code, content in CONTENTS:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, content))
    nibabel.save(image, path)


def stored(path: Path) -> list[tuple[int, bytes]]:
    extensions = nibabel.load(path).header.extensions
    found = [read_extensions(one, "v")["extensions"][0] for one in map(_alone, extensions)]
    header = nibabel.Nifti1Header()
    add_extensions(header, {"extensions": found})
    return [(one.get_code(), bytes(one.get_content()).rstrip(b"\0")) for one in header.extensions]


def _alone(extension: object) -> nibabel.Nifti1Header:
    header = nibabel.Nifti1Header()
    header.extensions.append(extension)
    return header


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("cls", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_extensions_come_back_through_a_container(cls: type, suffix: str, tmp_path: Path) -> None:
    save(tmp_path / f"v{suffix}", cls)
    np.testing.assert_array_equal(read_volume(tmp_path / f"v{suffix}"), VOLUME)
    nvc_jax.compress(tmp_path / f"v{suffix}", tmp_path / "v.zarr", lossless=True)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / f"w{suffix}")
    assert stored(tmp_path / f"w{suffix}") == [(code, content.rstrip(b"\0")) for code, content in CONTENTS]
    np.testing.assert_array_equal(read_volume(tmp_path / f"w{suffix}"), VOLUME)
    np.testing.assert_array_equal(nibabel.load(tmp_path / f"w{suffix}").get_fdata(), VOLUME.T)


def test_extensions_too_large_for_metadata_are_named(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOLUME.T, np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"x" * (5 << 20)))
    nibabel.save(image, tmp_path / "v.nii")
    with pytest.warns(UserWarning, match=r"`.*v.nii` has 1 header extensions, of 52\d+ bytes"):
        metadata = read_metadata(tmp_path / "v.nii")
    assert "extensions" not in metadata.attributes["nifti"]


@pytest.mark.parametrize("stated", [None, 5, [5], [{"code": "x"}], [{"code": 6, "content": "?"}]])
def test_what_is_no_extension_is_left_out(stated: object) -> None:
    header = nibabel.Nifti1Header()
    add_extensions(header, {"extensions": stated})
    assert not header.extensions
