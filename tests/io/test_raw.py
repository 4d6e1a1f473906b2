from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.raw import DTYPE_OF_SUFFIX, RawFile
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_files_must_match_their_names(tmp_path: Path) -> None:
    path = tmp_path / "v_4x3x3_uint16.raw"
    VOLUME.tofile(path)
    with pytest.raises(ValueError, match="holds 48 bytes; its name says 72"):
        open_volume(path)
    path = path.rename(tmp_path / "v.raw")
    with pytest.raises(ValueError, match=r"name_XxYxZ_dtype\.raw"):
        open_volume(path)
    with pytest.raises(ValueError, match=r"_4x3x2_uint16\.raw"):
        write_volume(tmp_path / "v_2x3x4_uint16.raw", VOLUME)


def test_a_name_may_state_the_spacing(tmp_path: Path) -> None:
    path = tmp_path / "rock_4x3x2_0.5x1x2_uint16.raw"
    VOLUME.tofile(path)
    assert read_metadata(path) == VolumeMetadata(spacing=(2.0, 1.0, 0.5))


def raw_bytes(order: Literal["C", "F"], byte_order: str) -> bytes:
    return VOLUME.astype(VOLUME.dtype.newbyteorder(byte_order)).tobytes(order)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("byte_order", ["little", "big"])
@pytest.mark.parametrize(("name", "dtype"), [("v.dat", "uint16"), ("noname", np.uint16), ("v.u16", None)])
def test_files_of_any_name_are_read_by_their_stated_layout(
    order: Literal["C", "F"], byte_order: Literal["little", "big"], name: str, dtype: Any, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(raw_bytes(order, byte_order))
    source = RawFile(tmp_path / name, [2, 3, 4], dtype, order, byte_order)
    np.testing.assert_array_equal(read_volume(source), VOLUME, strict=True)
    np.testing.assert_array_equal(open_volume(source)[1, 1:, 2].read().result(), VOLUME[1, 1:, 2])
    assert read_metadata(source) == VolumeMetadata()


@pytest.mark.parametrize("suffix", DTYPE_OF_SUFFIX)
def test_suffixes_state_a_dtype_and_another_one_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"v{suffix}"
    values = np.arange(6).reshape(1, 2, 3).astype(DTYPE_OF_SUFFIX[suffix])
    path.write_bytes(values.tobytes())
    np.testing.assert_array_equal(read_volume(RawFile(path, (1, 2, 3))), values, strict=True)
    with pytest.raises(ValueError, match=r"`dtype` \(=float16\) is not that of the suffix"):
        open_volume(RawFile(path, (1, 2, 3), "float16"))
    with pytest.raises(ValueError, match="`--shape Z,Y,X --dtype DTYPE`"):
        open_volume(path)


@pytest.mark.parametrize(
    ("layout", "error", "message"),
    [
        (((2, 3, 5), "uint16"), ValueError, r"holds 48 bytes; 2·3·5 voxels of uint16 are 60: check `shape`"),
        (
            ((2, 3, 4), "float32"),
            ValueError,
            r"voxels of float32 are 96: .*; uint16 or int16 or float16 or bfloat16 would",
        ),
        (((3, 4), "uint16"), ValueError, "`shape`"),
        (((0, 3, 4), "uint16"), ValueError, "`shape`"),
        (((2, 3, 4), None), ValueError, r"v\.dat`: neither `dtype` nor the suffix"),
        (((2, 3, 4), "floats"), TypeError, r"`dtype` \(='floats'\) is unknown"),
        (((2, 3, 4), "complex64"), TypeError, "`dtype` has dtype complex64"),
        (((2, 3, 4), "uint16", "A"), ValueError, r"`order` \(='A'\)"),
        (((2, 3, 4), "uint16", "C", "middle"), ValueError, r"`byte_order` \(='middle'\)"),
    ],
)
def test_layouts_that_do_not_fit_are_named(
    layout: tuple[Any, ...], error: type[Exception], message: str, tmp_path: Path
) -> None:
    (tmp_path / "v.dat").write_bytes(VOLUME.tobytes())
    with pytest.raises(error, match=message):
        open_volume(RawFile(tmp_path / "v.dat", *layout))


def test_a_name_that_states_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v_4x3x2_uint16.raw"
    path.write_bytes(VOLUME.tobytes())
    np.testing.assert_array_equal(read_volume(RawFile(path, (2, 3, 4))), VOLUME, strict=True)
    for layout in (((4, 3, 2),), ((2, 3, 4), "int16"), ((2, 3, 4), None, "F"), ((2, 3, 4), None, "C", "big")):
        with pytest.raises(ValueError, match="z,y,x = 2,3,4 of uint16, x fastest"):
            open_volume(RawFile(path, *layout))


def test_raw_files_elsewhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"v\.dat` does not exist"):
        open_volume(RawFile(tmp_path / "v.dat", (2, 3, 4), "uint16"))
    with pytest.raises(ValueError, match="is not in the file system"):
        open_volume(RawFile("s3://bucket/v.dat", (2, 3, 4), "uint16"))
    with pytest.raises(ValueError, match="is no file"):
        open_volume(RawFile(tmp_path, (2, 3, 4), "uint16"))


@pytest.mark.parametrize("shape", [(4, 6), (2, 1, 3, 4), (1, 2, 3, 4, 1)])
def test_files_of_any_rank_open(shape: tuple[int, ...], tmp_path: Path) -> None:
    values = np.arange(24, dtype="<i2").reshape(shape)
    path = tmp_path / f"v_{'x'.join(map(str, shape[::-1]))}_int16.raw"
    path.write_bytes(values.tobytes())
    np.testing.assert_array_equal(read_volume(path), values)
    (tmp_path / "v.i16").write_bytes(values.tobytes(order="F"))
    np.testing.assert_array_equal(read_volume(RawFile(tmp_path / "v.i16", shape, order="F")), values)
