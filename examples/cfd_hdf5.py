"""A CFD group's field: an HDF5 dataset under a relative bound, and what the bound does to a gradient.

pip install "nvc_jax[io]"
python examples/cfd_hdf5.py
"""

import h5py
import numpy as np

import nvc_jax

RELATIVE_ERROR = 1e-3


def make_field(path: str) -> None:
    """Write a dataset ``velocity`` (z, y, x), float32, in m/s."""
    z, y, x = (np.linspace(0, 2 * np.pi, n, endpoint=False) for n in (20, 30, 72))
    velocity = np.sin(z)[:, None, None] * np.cos(2 * y)[None, :, None] * np.sin(3 * x)[None, None, :]
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("velocity", data=velocity.astype(np.float32))
        dataset.attrs["units"] = "m/s"


def main() -> None:
    make_field("flow.h5")
    source = "flow.h5::/velocity"
    result = nvc_jax.compress(source, "flow.zarr", relative_error=RELATIVE_ERROR)
    print(f"{result.ratio:.1f} times smaller, largest error {result.max_error:.5f} m/s")
    nvc_jax.verify(source, "flow.zarr")

    # Read a slab of four planes.
    slab = nvc_jax.open("flow.zarr")[8:12].read().result()
    with h5py.File("flow.h5") as file:
        original = file["velocity"][8:12]
    print(f"slab {slab.shape}, largest difference {np.abs(slab - original).max():.5f} m/s")

    # A bound on values bounds a central difference, too: by the bound over the grid spacing.
    spacing = 2 * np.pi / slab.shape[2]
    gradients = [np.gradient(field, spacing, axis=2) for field in (slab, original)]
    worst = np.abs(gradients[0] - gradients[1])[:, :, 1:-1].max()
    print(f"largest error of the gradient {worst:.5f}, at most {result.max_error / spacing:.5f}")


if __name__ == "__main__":
    main()
