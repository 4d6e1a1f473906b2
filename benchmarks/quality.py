"""The paper's Table 3: mean squared error of the variants over whole volumes, seen and unseen.

Every volume is scaled to [0, 1] by its finite range, encoded and decoded in float32. Two measures say whether
block borders show, both from the mean jump between neighbouring voxels: ``border_excess`` is the jump across
borders minus the original's, over the jump inside blocks (negative where the reconstruction is smoother);
``border_ratio`` is across over inside, over the same of the original (1 where
borders do not show).

    python benchmarks/quality.py VOLUMES     # a directory with INDEX.csv
"""

import argparse
from pathlib import Path

import numpy as np
from common import VARIANTS, table, unit_volume, volumes, write_results

import nvc_jax
from nvc_jax.evaluation.metrics import border_jump
from nvc_jax.models.checkpoints import load_checkpoint
from nvc_jax.models.identity import model_sha256

MEASURES = ("mse", "border_excess", "border_ratio")
PAPER_MSE = {"zero-margin": 0.00205, "two-wide-margin": 0.00239, "more-parameters": 0.00213}
"""Table 3 of the paper: other unseen volumes, so no more than an orientation."""


def measure(codec: nvc_jax.Codec, volume: np.ndarray, finite: np.ndarray, mode: str) -> dict[str, float]:
    decoded = np.asarray(nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume), mode=mode))
    mse = float(np.mean((decoded - volume)[finite].astype(np.float64) ** 2))
    block_size = codec.config.block_size
    across, inside = border_jump(decoded, block_size)
    original_across, original_inside = border_jump(volume, block_size)
    return {
        "mse": mse,
        "border_excess": (across - original_across) / inside,
        "border_ratio": across / inside / (original_across / original_inside),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    results: dict = {}
    for split in ("test", "train"):
        for name, row in volumes(directory, split).items():
            volume, finite = unit_volume(directory / row["file"])
            for variant in VARIANTS:
                codec = nvc_jax.load_codec(variant)
                for mode in ("crop", "blend") if codec.config.margin else ("crop",):
                    by_split = results.setdefault(variant, {}).setdefault(split, {})
                    by_split.setdefault(mode, {})[name] = measure(codec, volume, finite, mode)
            print(split, name, flush=True)
    means = {
        (variant, split, mode): {
            name: float(np.mean([m[name] for m in by_volume.values()])) for name in MEASURES
        }
        for variant, splits in results.items()
        for split, modes in splits.items()
        for mode, by_volume in modes.items()
    }
    rows = [
        [*key, *(f"{mean[name]:.6f}" for name in MEASURES), str(PAPER_MSE[key[0]])]
        for key, mean in means.items()
    ]
    print(table(["variant", "split", "mode", *MEASURES, "paper's mse"], rows))
    write_results(
        "quality",
        {
            "sha256": {variant: model_sha256(*load_checkpoint(variant)) for variant in VARIANTS},
            "mean": {" ".join(key): mean for key, mean in means.items()},
            "volumes": results,
        },
    )


if __name__ == "__main__":
    main()
