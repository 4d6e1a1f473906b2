"""Bits and quality of the paper's models where their latents are quantised and entropy-coded.

Every volume of split ``test`` is scaled to float32 [0, 1] by its range and encoded as one stream. Bytes are
those of the stream with its header.

    python benchmarks/latents.py VOLUMES     # a directory with INDEX.csv
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from common import VARIANTS, free_programs, table, unit_volume, volumes, write_results
from rate_distortion import Point, measure_points

import nvc_jax

STEPS = (0.1, 0.4, 0.8)
VOLUME_HEADER_BYTES = 32
"""Bytes that are counted for each volume: shape, range and step."""
STREAM_HEADER_BYTES = 8
"""Bytes of the header of a stream of latents, without one byte for each latent."""


def latent_points(volume: np.ndarray, variant: str) -> list[Point]:
    codec = nvc_jax.load_codec(variant)
    header_bytes = VOLUME_HEADER_BYTES + STREAM_HEADER_BYTES + codec.config.latent_dim
    return measure_points(
        volume,
        STEPS,
        lambda step: jax.block_until_ready(nvc_jax.encode_volume(codec, volume, step=step)),
        lambda encoded, _: np.asarray(nvc_jax.decode_volume(codec, encoded)),
        lambda encoded: header_bytes + int(encoded.stream.coded.stored_bytes),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    points: dict[str, dict[str, list[Point]]] = {variant: {} for variant in VARIANTS}
    for name, row in volumes(directory, "test").items():
        volume, _ = unit_volume(directory / row["file"])
        for variant in VARIANTS:
            points[variant][name] = latent_points(volume, variant)
        print(name, flush=True)
        free_programs()
    rows = []
    for variant, by_volume in points.items():
        cells = []
        for index in range(len(STEPS)):
            psnr, bits = (
                np.mean([of[index][key] for of in by_volume.values()])
                for key in ("psnr_db", "bits_per_voxel")
            )
            cells.append(f"{psnr:.1f} dB, {bits:.3f}")
        rows.append([variant, *cells])
    print(table(["mean PSNR, bits/voxel", *(f"step {step:g}" for step in STEPS)], rows))
    write_results("latents", {"rows": rows, "points": points})


if __name__ == "__main__":
    main()
