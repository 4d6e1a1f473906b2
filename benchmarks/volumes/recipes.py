"""Recipes of benchmark volumes: read a package's members, then crop, clip or stack them to one 3-D array.

A recipe is text such as ``netcdf HGT; crop 0:21 0:73 0:144``: a reader and its argument, then steps. Every
result is a C-contiguous, native-endian array of shape (z, y, x).
"""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
from volumes import generators

Members = list[Path]


def apply_recipe(recipe: str, members: Members) -> np.ndarray:
    """Make one volume.

    Args:
        recipe: A reader and steps, separated by ``;``.
        members: Paths of the files that the reader takes, in order; none for a made volume.

    Returns:
        Array (z, y, x) of the source's dtype, C-contiguous and native-endian.

    Raises:
        ValueError: A reader or a step is unknown, or the result is not 3-D.
        ImportError: A reader's optional package is missing.
    """
    first, *steps = [part.split() for part in recipe.split(";")]
    if first[0] not in READERS:
        raise ValueError(f"unknown reader {first[0]!r}")
    volume = READERS[first[0]](members, *first[1:])
    for name, *arguments in steps:
        if name not in STEPS:
            raise ValueError(f"unknown step {name!r}")
        volume = STEPS[name](volume, *arguments)
    if volume.ndim != 3:
        raise ValueError(f"the recipe {recipe!r} makes an array of {volume.ndim} axes")
    return np.ascontiguousarray(volume, volume.dtype.newbyteorder("="))


def read_made(_: Members, name: str, *arguments: str) -> np.ndarray:
    """Run one of the generators with integer arguments."""
    return generators.GENERATORS[name](*map(int, arguments))


def read_netcdf(members: Members, variable: str) -> np.ndarray:
    """Read a variable of a classic netCDF file, without the application of a scale or a fill value."""
    from scipy.io import netcdf_file

    with netcdf_file(members[0], mmap=False) as file:
        return np.array(file.variables[variable].data)


def read_hdf5(members: Members, dataset: str) -> np.ndarray:
    """Read a dataset of an HDF5 or netCDF-4 file."""
    import h5py

    with h5py.File(members[0]) as file:
        return file[dataset][()]


def read_npz(members: Members, name: str) -> np.ndarray:
    """Read an array of a NumPy archive."""
    with np.load(members[0]) as archive:
        return archive[name]


def read_nrrd(members: Members) -> np.ndarray:
    """Read an NRRD volume as (z, y, x)."""
    import nrrd

    return nrrd.read(str(members[0]), index_order="C")[0]


def read_nifti(members: Members) -> np.ndarray:
    """Read the stored values of a NIfTI volume as (z, y, x), without the application of a scale."""
    import nibabel

    content = gzip.decompress(members[0].read_bytes())
    image: Any = nibabel.Nifti1Image.from_bytes(content)
    return np.asarray(image.dataobj.get_unscaled()).squeeze().T


def read_tiff(members: Members) -> np.ndarray:
    """Read the pages of a TIFF file."""
    import tifffile

    return tifffile.imread(members[0])


def read_fits(members: Members) -> np.ndarray:
    """Read the primary array of a FITS file of float values, as (axis 3, axis 2, axis 1)."""
    content = members[0].read_bytes()
    cards: dict[str, str] = {}
    length = 0
    while "END" not in cards:
        card = content[length : length + 80].decode("ascii", "replace")
        if not card or length > 2880 * 100:
            raise ValueError("not a FITS file of values")
        cards.setdefault(card[:8].strip(), card[10:].split("/")[0].strip())
        length += 80
    shape = tuple(int(cards[f"NAXIS{axis}"]) for axis in range(int(cards.get("NAXIS", 0)), 0, -1))
    dtype = {"-32": ">f4", "-64": ">f8"}.get(cards.get("BITPIX", ""))
    if dtype is None or not shape:
        raise ValueError("not a FITS file of float values")
    return np.frombuffer(content, dtype, int(np.prod(shape)), -(-length // 2880) * 2880).reshape(shape)


def read_pgm(members: Members) -> np.ndarray:
    """Stack binary 8-bit grey images (PGM) of one size as frames (time, y, x)."""
    return np.stack([_pgm_frame(path.read_bytes()) for path in members])


def _pgm_frame(content: bytes) -> np.ndarray:
    file = io.BytesIO(content)
    words: list[bytes] = []
    while len(words) < 4:
        line = file.readline()
        if not line:
            raise ValueError("a PGM image without a complete header")
        words += line.split(b"#")[0].split()
    if words[0] != b"P5" or words[3] != b"255":
        raise ValueError("not a binary 8-bit PGM image")
    return np.frombuffer(file.read(), np.uint8).reshape(int(words[2]), int(words[1]))


def read_depth(members: Members) -> np.ndarray:
    """Stack depth images (rows and columns as uint32, then uint16 values) as frames (time, y, x)."""
    frames = []
    for path in members:
        content = path.read_bytes()
        rows, columns = np.frombuffer(content, "<u4", 2)
        frames.append(np.frombuffer(content, "<u2", rows * columns, 8).reshape(rows, columns))
    return np.stack(frames)


def read_video(members: Members, height: str, width: str) -> np.ndarray:
    """Decode the luminance of a video of known frame size as frames (time, y, x), uint8."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(members[0])]
    output = run([*command, "-pix_fmt", "gray", "-f", "rawvideo", "-"], capture_output=True, check=True)
    return np.frombuffer(output.stdout, np.uint8).reshape(-1, int(height), int(width))


def crop(volume: np.ndarray, *ranges: str) -> np.ndarray:
    """Select one ``first:last`` range an axis."""
    return volume[tuple(slice(*map(int, text.split(":"))) for text in ranges)]


def clip(volume: np.ndarray, low: str, high: str) -> np.ndarray:
    """Clip to a range, as a display window does; the dtype stays."""
    return np.clip(volume, volume.dtype.type(low), volume.dtype.type(high))


READERS: dict[str, Callable[..., np.ndarray]] = {
    "made": read_made,
    "netcdf": read_netcdf,
    "hdf5": read_hdf5,
    "npz": read_npz,
    "nrrd": read_nrrd,
    "nifti": read_nifti,
    "tiff": read_tiff,
    "fits": read_fits,
    "pgm": read_pgm,
    "depth": read_depth,
    "video": read_video,
}
STEPS: dict[str, Callable[..., np.ndarray]] = {"crop": crop, "clip": clip}
