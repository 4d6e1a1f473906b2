"""Gain of each part of nvc-1, in bits and in time: the codec built up from the plain block DCT.

Bits at equal PSNR over those of the complete codec, as in ``rate_distortion.py``, on the middles (at most
96³ voxels) of the volumes of split ``test``. The model of the row "+ contexts", of integers and of block
headers, is nvc-1. The rows before use models without contexts, of one quantiser or two and at last of several
profiles, that are fitted on the middles (at most 128³ voxels) of the volumes of split ``train``. Seconds are
over the complete codec's near 45 dB, best of 2. The last rows show the gain of training on a user's own
series, from ``domain.py``.

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
from common import RESULTS, middle, table, unit_volume, volumes, write_results
from rate_distortion import (
    PSNR_GRID,
    STEPS,
    Point,
    dct_points,
    mean_ratio,
    measure_points,
    nearest,
)

import nvc_jax
from nvc_jax.core.parameters import Params
from nvc_jax.spectral import decoder, encoder
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.spectral.training import fit_spectral

SIDE, TRAINING_SIDE = 96, 128
HEADER_BYTES = 26
"""Bytes of the headers of a payload and of a spectral stream of 128 lanes or more."""
PARTS = (
    "block DCT, Zstandard",
    "8³ DCT, classes and rANS",
    "+ lapped filter",
    "+ segments of up to 128",
    "+ rate–distortion-optimised integers",
    "+ two quantisers",
    "+ profiles",
    "+ contexts",
)
OPTIONS = {
    "8³ DCT, classes and rANS": EncoderOptions(
        segment_lengths=(8,), filters=("none",), optimizes_integers=False
    ),
    "+ lapped filter": EncoderOptions(segment_lengths=(8,), optimizes_integers=False),
    "+ segments of up to 128": EncoderOptions(optimizes_integers=False),
}
"""Options of the first parts; all parts after have the defaults."""


def models_of_parts(directory: Path) -> dict[str, Params]:
    """The model of each part but the first: those without contexts are fitted here."""
    rows = volumes(directory, "train").values()
    training = [middle(unit_volume(directory / row["file"])[0], TRAINING_SIDE) for row in rows]
    one, two, profiles = (
        fit_spectral(training, SpectralConfig(**sizes, n_contexts=1, n_header_contexts=1))
        for sizes in ({"n_quantizers": 1, "n_profiles": 1}, {"n_profiles": 1}, {})
    )
    shipped = nvc_jax.load_codec("nvc-1").params
    last = {"+ two quantisers": two, "+ profiles": profiles, "+ contexts": shipped}
    return {part: last.get(part, one) for part in PARTS[1:]}


def measure_model(
    params: Params, volume: np.ndarray, options: EncoderOptions = DEFAULT_OPTIONS
) -> list[Point]:
    """Measure a model's streams of a volume, scaled to [0, 1]."""
    params = jax.device_put(params)
    limits = jnp.float32(0), jnp.float32(1)
    encode = functools.partial(encoder.encode, options=options)
    return measure_points(
        volume,
        STEPS,
        lambda step: jax.block_until_ready(encode(params, jnp.asarray(volume), *limits, jnp.float32(step))),
        lambda encoded, _: np.asarray(decoder.decode(params, encoded)),
        lambda encoded: HEADER_BYTES + int(encoded.used_bytes),
    )


def points(models: dict[str, Params], volume: np.ndarray, part: str) -> list[Point]:
    """Measure the codec with all parts up to one."""
    if part == PARTS[0]:
        return dct_points(volume)
    return measure_model(models[part], volume, OPTIONS.get(part, DEFAULT_OPTIONS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    models = models_of_parts(directory)
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for name, row in volumes(directory, "test").items():
        volume, _ = unit_volume(directory / row["file"])
        volume = middle(volume, SIDE)
        points_by_part = {part: points(models, volume, part) for part in PARTS}
        complete = points_by_part[PARTS[-1]]
        measured[name] = {
            part: {
                "bits": mean_ratio(part_points, complete, PSNR_GRID),
                **{
                    direction: nearest(complete)[f"{direction}_mvoxels_per_second"]
                    / nearest(part_points)[f"{direction}_mvoxels_per_second"]
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
