"""A cluster of Dask: its workers compress a file together, and write what Dask computes as it is computed.

pip install "nvc_jax[zarr]" distributed
python examples/dask_cluster.py [ADDRESS OF THE SCHEDULER]

Without an address it starts two workers on this machine. Workers need a common file system.
"""

import sys

import dask.array
import numpy as np
import zarr
from distributed import Client

import nvc_jax

MAX_ERROR = 0.01
CHUNKS, SHARDS = (16, 16, 16), (16, 32, 64)
"""Small, for a small file; leave both out for volumes of many GB."""


def make_file(path: str) -> None:
    """Write a volume (z, y, x), float32."""
    z, y, x = np.mgrid[:32, :32, :64] / 10
    np.save(path, (np.sin(3 * z) * np.cos(2 * y) * np.sin(x * y)).astype(np.float32))


def compress_part(source: str, destination: str, part: int, n_parts: int) -> bool:
    """Write one share of a container, or what is missing of it; whether the container is complete."""
    share = (part, n_parts)
    return nvc_jax.compress(
        source, destination, max_error=MAX_ERROR, chunks=CHUNKS, shards=SHARDS, part=share
    ).is_complete


def main() -> None:
    make_file("flow.npy")
    address = sys.argv[1:]
    with Client(*address) if address else Client(n_workers=2, threads_per_worker=1) as client:
        # A file, by one task for each worker. A task whose worker dies is begun again, and goes on.
        n_parts = len(client.scheduler_info(n_workers=-1)["workers"])
        tasks = [
            client.submit(compress_part, "flow.npy", "flow.zarr", part, n_parts, pure=False, retries=3)
            for part in range(n_parts)
        ]
        assert any(client.gather(tasks))

        # An array that Dask computes, a chunk at a time: each worker encodes what it has computed.
        speed = dask.array.from_array(np.load("flow.npy", mmap_mode="r"), chunks=CHUNKS) ** 2
        codec = nvc_jax.zarr_codec(max_error=MAX_ERROR)
        target = zarr.create_array(
            "energy.zarr",
            shape=speed.shape,
            dtype=speed.dtype,
            chunks=CHUNKS,
            serializer=codec,
            compressors=None,
            overwrite=True,
        )
        speed.store(target, lock=False)

    for source, path in (("flow.npy", "flow.zarr"), (np.load("flow.npy") ** 2, "energy.zarr")):
        report = nvc_jax.verify(source, path)
        print(f"{path}: largest error {report['measured_max_error']:.4f}")
    info = nvc_jax.info("flow.zarr")
    print(f"{n_parts} workers, {info['ratio']:.1f} times smaller")


if __name__ == "__main__":
    main()
