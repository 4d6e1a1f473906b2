"""Learning curves of the shipped networks, from what ``reproduce.py --record`` has kept.

python benchmarks/learning_curves.py
"""

import argparse

import numpy as np
from common import RESULTS

from nvc_jax.evaluation.learning_curve import save_learning_curve
from nvc_jax.training.metrics import read_metrics

MODELS = ("zero-margin", "two-wide-margin", "more-parameters")
POINTS = 60
"""Points of a curve: each is the mean of as many reports."""


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    curves = {}
    for model in MODELS:
        reports = read_metrics(RESULTS / "learning-curves" / f"{model}.jsonl")
        parts = np.array_split(np.array([(report.step, report.loss) for report in reports]), POINTS)
        curves[model] = [(int(part[-1, 0]), float(part[:, 1].mean())) for part in parts]
    path = RESULTS / "learning-curves.png"
    save_learning_curve(path, curves, loss_name="mean squared error of training blocks", overwrite=True)


if __name__ == "__main__":
    main()
