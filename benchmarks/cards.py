"""Complete the cards of shipped checkpoints: licences from the index, scores from ``results/``.

python benchmarks/cards.py VOLUMES     # a directory with INDEX.csv; after quality.py, rate_distortion.py
"""

import argparse
import json
import re
from pathlib import Path

from common import RESULTS, VARIANTS, volumes

from nvc_jax.models.checkpoints import load_checkpoint, shipped_models
from nvc_jax.models.identity import model_sha256


def complete(card: str, licences: dict[str, str], scores: dict[str, str]) -> str:
    """The card with its volumes' licences, and with ``scores`` in place of earlier ones."""
    lines = [line for line in card.splitlines() if not line.startswith("| mean ")]
    start = lines.index("| score | |") + 2
    lines[start:start] = [f"| {name} | {value} |" for name, value in scores.items()]
    for index, line in enumerate(lines):
        if (row := re.match(r"\| (\S+) \| not stated \|", line)) and row[1] in licences:
            lines[index] = f"| {row[1]} | {licences[row[1]]} |"
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    licences = {row["file"]: row["licence"] for row in volumes(parser.parse_args().volumes, "train").values()}
    quality = json.loads((RESULTS / "quality.json").read_text())
    for variant in VARIANTS:
        if quality["sha256"][variant] != model_sha256(*load_checkpoint(variant)):
            raise ValueError(f"results/quality.json measured another {variant}: run benchmarks/quality.py")
        scores = {
            f"mean MSE over whole volumes, {split}, {mode}": f"{quality['mean'][key]['mse']:.6f}"
            for split in ("test", "train")
            for mode in ("crop", "blend")
            if (key := f"{variant} {split} {mode}") in quality["mean"]
        }
        rewrite(variant, licences, scores)
    by_kind = json.loads((RESULTS / "rate-distortion.json").read_text())["by_kind"]
    means = by_kind["mean over kinds"]
    scores = {
        f"mean ratio of {codec}'s bits to nvc-1's over the kinds of test, 30 to 60 dB": f"{means[codec]:.2f}"
        for codec in ("SPERR", "SZ3", "zfp")
    }
    rewrite("nvc-1", licences, scores)


def rewrite(model: str, licences: dict[str, str], scores: dict[str, str]) -> None:
    path = shipped_models()[model] / "CARD.md"
    path.write_text(complete(path.read_text(), licences, scores))


if __name__ == "__main__":
    main()
