"""A model for one's own series: fitted on earlier volumes of a series, against nvc-1 and SPERR on later ones.

Bits, ratios and PSNRs as in ``rate_distortion.py``; splits ``series-train`` and ``series-test`` of the index.
The model is fitted with its post-filter, and measured without and with it. The bytes of the fitted model,
which every container holds, are stated apart. Later volumes are stored one by one, and then all together in
one container of four axes, which has one ``zarr.json`` for all: each in chunks of its own, and in chunks of
all of them, where a step may be predicted from the one before it.

    pip install ".[bench]"
    python benchmarks/domain.py VOLUMES     # a directory with INDEX.csv
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from common import geometric_mean, table, unit_volume, volumes, write_results
from rate_distortion import PSNR_GRID, Point, library_points, mean_ratio, nvc_points

import nvc_jax
from nvc_jax.compression.layout import default_chunk
from nvc_jax.core.shapes import check_shape
from nvc_jax.models.embedded import embed_model
from nvc_jax.models.registry import named_configs
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.config import SpectralTraining

SERIES = ("isabel", "viscous")
BLOCKS_PER_VOLUME = 10_752
"""All blocks of a volume of the viscous fingers at all 21 steps of the sampling, half of those of Isabel."""
PLAIN, FILTERED = "fitted to the series", "with a filter"


def fit(train: list) -> dict[str, nvc_jax.Codec]:
    """Fit a model with a filter; that is fitted last, so the model without it is known, too."""
    config = named_configs()["nvc-1-filter"]
    assert isinstance(config, SpectralConfig)
    fitted = nvc_jax.train(SpectralTraining(config, blocks_per_volume=BLOCKS_PER_VOLUME), train).codec
    without = dataclasses.replace(config, n_filter_units=0)
    return {PLAIN: nvc_jax.Codec(without, {"entropy": fitted.params["entropy"]}), FILTERED: fitted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    general = nvc_jax.load_codec("nvc-1")
    results: dict[str, dict[str, dict[str, float]]] = {}
    fewer: dict[str, dict[str, dict[str, float]]] = {}
    together: dict[str, dict[str, float]] = {}
    in_steps: dict[str, dict[str, float]] = {}
    model_bytes: dict[str, dict[str, int]] = {}
    for series in SERIES:
        train, test = (
            {
                name: unit_volume(directory / row["file"])[0]
                for name, row in volumes(directory, split).items()
                if series in name
            }
            for split in ("series-train", "series-test")
        )
        codecs = fit(list(train.values()))
        model_bytes[series] = {
            label: len(json.dumps(embed_model(codec.config, codec.params))) for label, codec in codecs.items()
        }
        of_codecs = {"nvc-1": general, **codecs}
        stacked = np.stack(list(test.values()))
        points = _all_points(of_codecs, stacked)
        together[series] = _fewer_bits(points)
        of_steps = {label: _points_of_steps(codec, stacked) for label, codec in of_codecs.items()}
        in_steps[series] = {
            label: mean_ratio(points["nvc-1"], of_label, PSNR_GRID) for label, of_label in of_steps.items()
        }
        print(series, together[series], in_steps[series], flush=True)
        for name, volume in test.items():
            sperr = library_points(volume, ("SPERR",))["SPERR"]
            points = _all_points(of_codecs, volume)
            results.setdefault(series, {})[name] = {
                label: mean_ratio(sperr, of_label, PSNR_GRID) for label, of_label in points.items()
            }
            fewer.setdefault(series, {})[name] = _fewer_bits(points)
            print(name, results[series][name], fewer[series][name], flush=True)
    means, gains = (
        {series: _means(by_volume) for series, by_volume in of.items()} for of in (results, fewer)
    )
    rows = [[series, *(f"{value:.2f}" for value in ratios.values())] for series, ratios in means.items()]
    print(table(["SPERR's bits over those of", "nvc-1", PLAIN, FILTERED], rows))
    write_results(
        "domain",
        {
            "geometric_mean_ratio": means,
            "geometric_mean_nvc_1_over_fitted": gains,
            "nvc_1_over_fitted_in_one_container": together,
            "nvc_1_over_chunks_of_several_steps": in_steps,
            "ratio": results,
            "nvc_1_over_fitted": fewer,
            "model_bytes": model_bytes,
        },
    )


def _all_points(codecs: dict[str, nvc_jax.Codec], volume: np.ndarray) -> dict[str, list[Point]]:
    """Measure all codecs, by label."""
    return {label: nvc_points(codec, volume) for label, codec in codecs.items()}


def _points_of_steps(codec: nvc_jax.Codec, stacked: np.ndarray) -> list[Point]:
    """Measure a container whose chunks hold all steps of a series."""
    shape = check_shape(stacked.shape[1:])
    return nvc_points(codec, stacked, (len(stacked), *default_chunk(shape, codec.config.block_size)))


def _fewer_bits(points: dict[str, list[Point]]) -> dict[str, float]:
    """Take the bits of nvc-1 as it ships over those of each fitted model, by label."""
    fitted = points.keys() - {"nvc-1"}
    return {label: mean_ratio(points["nvc-1"], points[label], PSNR_GRID) for label in sorted(fitted)}


def _means(by_volume: dict[str, dict[str, float]]) -> dict[str, float]:
    """Take geometric means over the volumes, by label."""
    labels = next(iter(by_volume.values()))
    return {label: geometric_mean(of[label] for of in by_volume.values()) for label in labels}


if __name__ == "__main__":
    main()
