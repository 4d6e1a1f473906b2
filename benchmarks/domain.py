"""A model for one's own series: fitted on earlier volumes of a series, against nvc-1 and SPERR on later ones.

Bits, ratios and PSNRs as in ``rate_distortion.py``; splits ``series-train`` and ``series-test`` of the index.
The bytes of the fitted model, which every container holds, are stated apart.

    pip install ".[bench]"
    python benchmarks/domain.py VOLUMES     # a directory with INDEX.csv
"""

import argparse
import json
from pathlib import Path

from common import geometric_mean, table, unit_volume, volumes, write_results
from rate_distortion import PSNR_GRID, library_points, mean_ratio, nvc_points

import nvc_jax
from nvc_jax.models.embedded import embed_model
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.config import SpectralTraining

SERIES = ("isabel", "viscous")
BLOCKS_PER_VOLUME = 10_752
"""All blocks of a volume of the viscous fingers at all 21 steps of the sampling, half of those of Isabel."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    general = nvc_jax.load_codec("nvc-1")
    results: dict[str, dict[str, dict[str, float]]] = {}
    model_bytes: dict[str, int] = {}
    for series in SERIES:
        train, test = (
            {
                name: unit_volume(directory / row["file"])[0]
                for name, row in volumes(directory, split).items()
                if series in name
            }
            for split in ("series-train", "series-test")
        )
        training = SpectralTraining(SpectralConfig(), blocks_per_volume=BLOCKS_PER_VOLUME)
        fitted = nvc_jax.train(training, list(train.values())).codec
        model_bytes[series] = len(json.dumps(embed_model(fitted.config, fitted.params)))
        for name, volume in test.items():
            sperr = library_points(volume, ("SPERR",))["SPERR"]
            results.setdefault(series, {})[name] = {
                label: mean_ratio(sperr, nvc_points(codec, volume), PSNR_GRID)
                for label, codec in (("nvc-1", general), ("fitted to the series", fitted))
            }
            print(name, results[series][name], flush=True)
    means = {
        series: {
            label: geometric_mean(by_label[label] for by_label in by_volume.values())
            for label in ("nvc-1", "fitted to the series")
        }
        for series, by_volume in results.items()
    }
    rows = [[series, *(f"{value:.2f}" for value in ratios.values())] for series, ratios in means.items()]
    print(table(["SPERR's bits over those of", "nvc-1", "fitted to the series"], rows))
    write_results("domain", {"geometric_mean_ratio": means, "ratio": results, "model_bytes": model_bytes})


if __name__ == "__main__":
    main()
