"""A microscopist's stack: two channels of a TIFF hyperstack, compressed below the noise of the camera.

pip install "nvc_jax[io]"
python examples/microscopy_tiff.py
"""

import numpy as np
import tifffile

import nvc_jax

MAX_ERROR = 10
"""Counts: the noise of 100 photons."""


def make_stack(path: str) -> None:
    """Write a small ImageJ hyperstack (z, c, y, x) of photon counts, uint16."""
    z, y, x = np.mgrid[:20, :30, :72]
    cells = np.exp(-((z - 10) ** 2 / 30 + (y - 15) ** 2 / 60 + (x % 24 - 12) ** 2 / 40))
    counts = np.random.default_rng(0).poisson(100 + 900 * np.stack([cells, cells[::-1]], axis=1))
    metadata = {"axes": "ZCYX", "spacing": 0.4, "unit": "um"}
    tifffile.imwrite(path, counts.astype(np.uint16), imagej=True, metadata=metadata)


def main() -> None:
    make_stack("stack.tif")
    result = nvc_jax.compress("stack.tif", "stack.zarr", max_error=MAX_ERROR, overwrite=True)
    print(f"{result.ratio:.1f} times smaller, largest error {result.max_error:g} counts")

    # Decode everything and compare with the original: an error if any voxel broke the bound.
    nvc_jax.verify("stack.tif", "stack.zarr")

    # Read five slices of one channel; the other channel is not decoded.
    nuclei = nvc_jax.open("stack.zarr")[5:10, 0].read().result()
    difference = nuclei.astype(int) - tifffile.imread("stack.tif")[5:10, 0]
    print(f"slices {nuclei.shape}, largest difference {np.abs(difference).max()} counts")

    # Back to TIFF, with axes, spacing and units.
    nvc_jax.decompress("stack.zarr", "decoded.tif", overwrite=True)
    with tifffile.TiffFile("decoded.tif") as decoded:
        print(f"decoded.tif: axes {decoded.series[0].axes}, shape {decoded.series[0].shape}")


if __name__ == "__main__":
    main()
