"""Train a shipped model anew: with the settings of its ``training.json``, on the volumes that its card lists.

    pip install ".[bench]"
    python benchmarks/fetch_volumes.py VOLUMES
    python benchmarks/reproduce.py VOLUMES nvc-1 --output my-nvc-1     # or another folder of checkpoints/

The new checkpoint has the learning curve (``metrics.jsonl``); with ``--record`` it is also kept in
``results/learning-curves``. Called again after an interruption, the command continues. Its parameters are
those of the shipped model only if code, versions and machine are, too.
"""

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from common import RESULTS

from nvc_jax.cli import main as nvc
from nvc_jax.models.checkpoints import shipped_directory
from nvc_jax.training.metrics import METRICS

CURVES = RESULTS / "learning-curves"


def card_volumes(card: str) -> list[str]:
    """Files of the volumes that a card lists, in the order of the training."""
    table = card.partition("| volume | licence |")[2]
    return re.findall(r"^\| (\S+\.\w+) \|", table, re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path, help="directory of the volumes")
    parser.add_argument("model", help="name of a folder of CHECKPOINTS")
    parser.add_argument("--output", required=True, help="directory of the new checkpoint")
    parser.add_argument("--checkpoints", type=Path, default=shipped_directory(), help="folder of the models")
    parser.add_argument("--record", action="store_true", help="keep the learning curve in the results")
    options = parser.parse_args(arguments)
    checkpoint = options.checkpoints / options.model
    names = card_volumes((checkpoint / "CARD.md").read_text())
    files = [str(options.volumes / name) for name in names]
    status = nvc(["train", str(checkpoint / "training.json"), *files, "--output", options.output])
    if options.record and not status:
        CURVES.mkdir(exist_ok=True)
        shutil.copy(Path(options.output) / METRICS, CURVES / f"{options.model}.jsonl")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
