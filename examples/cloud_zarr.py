"""A cloud team's Zarr array: compressed into small chunks, and a region read by HTTP, as from a bucket.

pip install "nvc_jax[zarr]"
python examples/cloud_zarr.py
"""

import http.server
import threading
from typing import Any

import numpy as np
import zarr

import nvc_jax

MAX_ERROR = 0.01


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve the working directory, and count the bytes of chunks."""

    sent = 0

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        Handler.sent += len(data) if "/c/" in self.path else 0
        outputfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def main() -> None:
    z, y, x = np.mgrid[:20, :30, :72] / 10
    volume = (np.sin(3 * z) * np.cos(2 * y) * np.sin(x * y)).astype(np.float32)
    zarr.create_array("source.zarr", data=volume, chunks=(16, 16, 32), overwrite=True)

    # A bucket is named alike: s3://bucket/volume.zarr, gs://bucket/volume.zarr.
    result = nvc_jax.compress("source.zarr", "volume.zarr", max_error=MAX_ERROR, chunks=(16, 16, 32))
    print(f"{result.ratio:.1f} times smaller, largest error {result.max_error:.4f}")
    nvc_jax.verify("source.zarr", "volume.zarr")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        view = nvc_jax.open(f"http://127.0.0.1:{server.server_port}/volume.zarr")
        region = view[:16, :16, :32].read().result()
        server.shutdown()
    difference = np.abs(region - volume[:16, :16, :32]).max()
    print(f"read {Handler.sent} of {result.stored_bytes} bytes, largest difference {difference:.4f}")


if __name__ == "__main__":
    main()
