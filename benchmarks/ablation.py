"""Gain of each part of nvc-1, in bits and in time: the codec built up from the plain block DCT.

Bits at equal PSNR over those of the complete codec, as in ``rate_distortion.py``, on the middles (at most
96³ voxels) of the volumes of split ``test``. The model of the last rows is nvc-1; the rows before use the
last nvc-1 that had one quantiser, or one profile, whose tables were counted on the complete encoder of its
time. Seconds are over the complete codec's near 45 dB, best of 2. The last rows show the gain of training
on a user's own series, from ``domain.py``.

    pip install ".[bench]"
    python benchmarks/ablation.py VOLUMES     # a directory with INDEX.csv; after domain.py
"""

import argparse
import functools
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import RESULTS, table, unit_volume, volumes, write_results
from rate_distortion import (
    PSNR_GRID,
    STEPS,
    VOLUME_HEADER_BYTES,
    Point,
    dct_points,
    mean_ratio,
    nearest,
    point,
)

import nvc_jax
from nvc_jax.core.parameters import Params
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.encoder_options import (
    DEFAULT_CANDIDATES,
    DEFAULT_OPTIONS,
    PLAIN_CANDIDATE,
    EncoderOptions,
)
from nvc_jax.transform.block_modes import LAPPED

SIDE = 96
STREAM_HEADER_BYTES = 12
"""Bytes of the header of a spectral stream."""
GOLDEN = Path(__file__).parent.parent / "tests" / "format" / "golden"
PARTS = (
    "block DCT, Zstandard",
    "8³ DCT, classes and rANS",
    "+ lapped filter",
    "+ modes of superblocks",
    "+ rate–distortion-optimised integers",
    "+ two quantisers",
    "+ profiles",
    "+ learned refinement",
)
MODELS = {"+ two quantisers": GOLDEN / "model-2", "+ profiles": "nvc-1", "+ learned refinement": "nvc-1"}
"""Models of the last parts; all parts before use the first."""

LAPPED_CANDIDATES = tuple(pair for pair in DEFAULT_CANDIDATES if pair[1] == LAPPED)
"""(filter, mode) pairs of small blocks."""
OPTIONS = {
    "8³ DCT, classes and rANS": EncoderOptions(
        candidates=(PLAIN_CANDIDATE,), tries_plain_superblocks=False, optimizes_integers=False
    ),
    "+ lapped filter": EncoderOptions(
        candidates=LAPPED_CANDIDATES, tries_plain_superblocks=False, optimizes_integers=False
    ),
    "+ modes of superblocks": EncoderOptions(optimizes_integers=False),
}
"""Options of the first parts; all parts after have the defaults."""


def without_refinement(params: Params, part: str) -> Params:
    """The model, without its refinement unless ``part`` is the last."""
    if part == PARTS[-1]:
        return params
    gains = np.zeros_like(params["refinement"]["gains"])
    return {**params, "refinement": {**params["refinement"], "gains": gains}}


def points(models: dict[str, Params], volume: np.ndarray, part: str) -> list[Point]:
    if part == PARTS[0]:
        return dct_points(volume)
    params = jax.device_put(without_refinement(models[part], part))
    limits = jnp.float32(0), jnp.float32(1)
    encode = functools.partial(encoder.encode, options=OPTIONS.get(part, DEFAULT_OPTIONS))
    return [
        point(
            volume,
            lambda step=step: jax.block_until_ready(
                encode(params, jnp.asarray(volume), *limits, jnp.float32(step))
            ),
            lambda encoded: np.asarray(decoder.decode(params, encoded)),
            lambda encoded: VOLUME_HEADER_BYTES + STREAM_HEADER_BYTES + int(encoded.used_bytes),
        )
        for step in STEPS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    models = {part: nvc_jax.load_codec(MODELS.get(part, GOLDEN / "model")).params for part in PARTS[1:]}
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for name, row in volumes(directory, "test").items():
        volume, _ = unit_volume(directory / row["file"])
        starts = [max(0, (side - SIDE) // 2) for side in volume.shape]
        volume = np.ascontiguousarray(volume[tuple(slice(a, a + SIDE) for a in starts)])
        points_by_part = {part: points(models, volume, part) for part in PARTS}
        complete = points_by_part[PARTS[-1]]
        measured[name] = {
            part: {
                "bits": mean_ratio(part_points, complete, PSNR_GRID),
                **{
                    direction: nearest(complete)[f"{direction}_mb_per_second"]
                    / nearest(part_points)[f"{direction}_mb_per_second"]
                    for direction in ("encode", "decode")
                },
            }
            for part, part_points in points_by_part.items()
        }
        print(name, {part: round(gain["bits"], 3) for part, gain in measured[name].items()}, flush=True)
    means = {
        part: {
            key: float(np.exp(np.nanmean([math.log(by_part[part][key]) for by_part in measured.values()])))
            for key in ("bits", "encode", "decode")
        }
        for part in PARTS
    }
    domain = json.loads((RESULTS / "domain.json").read_text())["geometric_mean_ratio"]
    rows = [[part, *(f"{value:.2f}" for value in gain.values())] for part, gain in means.items()]
    rows += [
        [
            f"+ training on its own series, {series}",
            f"{ratios['nvc-1'] / ratios['fitted to the series']:.2f}",
            "",
            "",
        ]
        for series, ratios in domain.items()
    ]
    print(table(["", "bits", "encode seconds", "decode seconds"], rows))
    write_results("ablation", {"mean": means, "volumes": measured, "rows": rows})


if __name__ == "__main__":
    main()
