"""Bits that nvc-1 loses on kinds of volumes that it was not fitted on.

The model is fitted on the middles (at most 96³ voxels) of the volumes of split ``train``: once on all of
them, and once without those of each kind. A volume of split ``test`` is then coded with the model of all
kinds and with those that lack a kind of its own. The loss is the ratio of bits at equal PSNR, as in
``rate_distortion.py``, on the middles (at most 96³ voxels). A volume of several kinds counts for each.

    pip install ".[bench]"
    python benchmarks/held_out_kinds.py VOLUMES     # a directory with INDEX.csv, from fetch_volumes.py
"""

import argparse
from pathlib import Path

import numpy as np
from ablation import measure_model
from common import free_programs, geometric_mean, middle, table, unit_volume, volumes, write_results
from rate_distortion import PSNR_GRID, mean_ratio

from nvc_jax.core.parameters import Params
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training import fit_spectral

SIDE = 96
ALL = "all kinds"


def kinds_of(row: dict[str, str]) -> set[str]:
    """Kinds of a volume, from its row of the index."""
    return set(row["kind"].split(";"))


def middle_of(directory: Path, row: dict[str, str]) -> np.ndarray:
    """The middle of a volume, scaled to [0, 1]."""
    return middle(unit_volume(directory / row["file"])[0], SIDE)


def fit_models(directory: Path, kinds: list[str]) -> dict[str, Params]:
    """Fit a model on all training volumes, and one without those of each kind."""
    rows = volumes(directory, "train").values()
    training = [(kinds_of(row), middle_of(directory, row)) for row in rows]
    models = {}
    for left_out in [ALL, *kinds]:
        kept = [volume for of, volume in training if left_out not in of]
        models[left_out] = fit_spectral(kept, SpectralConfig())
        print(f"fitted without {left_out}: {len(kept)} volumes" if left_out != ALL else "fitted", flush=True)
    return models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    rows = volumes(directory, "test")
    kinds = sorted(set().union(*map(kinds_of, rows.values())))
    models = fit_models(directory, kinds)
    free_programs()
    losses: dict[str, dict[str, float]] = {kind: {} for kind in kinds}
    for name, row in rows.items():
        volume = middle_of(directory, row)
        with_all = measure_model(models[ALL], volume)
        for kind in sorted(kinds_of(row)):
            losses[kind][name] = mean_ratio(measure_model(models[kind], volume), with_all, PSNR_GRID)
            print(name, f"without {kind}: {losses[kind][name]:.3f}", flush=True)
        free_programs()
    means = {kind: geometric_mean(of.values()) for kind, of in losses.items()}
    largest = {kind: max(of.values()) for kind, of in losses.items()}
    cells = [[kind, f"{means[kind]:.3f}", f"{largest[kind]:.3f}"] for kind in kinds]
    print(table(["kind left out", "bits", "most"], cells))
    write_results("held-out-kinds", {"bits": means, "largest": largest, "volumes": losses})


if __name__ == "__main__":
    main()
