"""A radiologist's CT: NIfTI in Hounsfield units, compressed within a bound, and back with its affine.

pip install "nvc_jax[io]"
python examples/radiology_nifti.py
"""

import nibabel
import numpy as np

import nvc_jax

MAX_ERROR = 4
"""Hounsfield units: a third of the noise of this scan."""


def make_scan(path: str) -> None:
    """Write a small CT (x, y, z), int16, with voxels of 0.9 × 0.9 × 1.5 mm."""
    x, y, z = np.mgrid[:72, :30, :20]
    inside = (x - 36) ** 2 / 900 + (y - 15) ** 2 / 150 + (z - 10) ** 2 / 90 < 1
    noise = np.random.default_rng(0).normal(0, 12, inside.shape)
    hounsfield = np.where(inside, 40 + noise, -1000).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(hounsfield, np.diag([0.9, 0.9, 1.5, 1.0])), path)


def main() -> None:
    make_scan("ct.nii.gz")
    # The air outside stays exactly at -1000.
    result = nvc_jax.compress("ct.nii.gz", "ct.zarr", max_error=MAX_ERROR, exact_values=[-1000])
    print(f"{result.ratio:.1f} times smaller, largest error {result.max_error:g} HU")
    nvc_jax.verify("ct.nii.gz", "ct.zarr")

    # Read one slice without the others' pixels.
    view = nvc_jax.open("ct.zarr")
    middle = view[view.shape[0] // 2].read().result()
    print(f"slice {middle.shape}, {middle.min()} to {middle.max()} HU")

    # Back to NIfTI: the same affine, and no voxel further away than the bound.
    nvc_jax.decompress("ct.zarr", "decoded.nii.gz", overwrite=True)
    before, after = map(nibabel.Nifti1Image.from_filename, ("ct.nii.gz", "decoded.nii.gz"))
    difference = np.asarray(after.dataobj, int) - np.asarray(before.dataobj, int)
    worst = np.abs(difference).max()
    print(f"affine kept: {np.allclose(before.affine, after.affine)}, largest error {worst} HU")


if __name__ == "__main__":
    main()
