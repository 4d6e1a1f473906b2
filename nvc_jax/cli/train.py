"""The command ``nvc train``."""

import argparse
import time
from pathlib import Path

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_summary
from nvc_jax.cli.progress import training_progress_bar
from nvc_jax.core.unfinished import unfinished

_EXAMPLES = (
    "nvc train nvc-1 run1.npy run2.npy run3.npy --output my-model",
    "nvc train config.json *.nii.gz --output my-network --validation held-out.nii.gz",
)


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Train a model on your own volumes; called again, it resumes."
    command = arguments.add_parser(commands, "train", _run, summary, _EXAMPLES)
    command.add_argument("config", metavar="CONFIG", help="JSON file, or a model's name (its own settings)")
    command.add_argument("volumes", metavar="VOLUME", nargs="+", help=arguments.VOLUME_HELP)
    command.add_argument("--output", required=True, metavar="DIR", help="directory of the new checkpoint")
    command.add_argument("--validation", nargs="+", default=[], metavar="VOLUME", help="volumes held out")
    command.add_argument("--seed", type=int, default=0, help="the only source of randomness (0)")
    arguments.add_raw_layout(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.io.locks import locked
    from nvc_jax.io.paths import output_path, real_path
    from nvc_jax.training.runs import check_run_directory

    output = output_path(options.output)
    if output.exists():
        raise FileExistsError(f"`--output` (={output}) exists already; name a new directory")
    # The state for resuming lies beside the checkpoint until that is complete.
    real = real_path(output)
    state = real.with_name(f"{real.name}.training")
    check_run_directory(state)
    real.parent.mkdir(parents=True, exist_ok=True)

    def describe() -> str | None:
        kept = f"the state of the training is kept in `{state}`; the same command continues it"
        return kept if state.exists() else None

    with locked(state, output), unfinished(state, describe):
        _train(options, output, state)


def _train(options: argparse.Namespace, output: Path, state: Path) -> None:
    """Train a model and save it."""
    from nvc_jax.models.training import train
    from nvc_jax.training.runs import remove_run

    start = time.monotonic()
    with training_progress_bar(quiet=options.quiet or options.json) as on_progress:
        result = train(
            options.config,
            [arguments.volume(text, options) for text in options.volumes],
            validation=[arguments.volume(text, options) for text in options.validation],
            seed=options.seed,
            directory=state,
            on_progress=on_progress,
        )
    result.save(output)
    remove_run(state)
    seconds = time.monotonic() - start
    sentence = (
        f"{output}: a model of {len(options.volumes)} volumes, trained in {seconds:.3g} s; "
        f"nvc compress IN OUT --model {output} uses it"
    )
    print_summary(sentence, {"checkpoint": str(output), "seconds": seconds}, options)
