"""The command ``nvc train``."""

import argparse
import shutil
from pathlib import Path

from nvc_jax.cli import arguments
from nvc_jax.cli.output import training_progress_bar


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Train a model on your own volumes; called again, it resumes."
    command = arguments.add_parser(commands, "train", _run, summary)
    command.add_argument("config", metavar="CONFIG", help="JSON file, or a model's name (its own settings)")
    command.add_argument("volumes", metavar="VOLUME", nargs="+", help=arguments.VOLUME_HELP)
    command.add_argument("--output", required=True, metavar="DIR", help="directory of the new checkpoint")
    command.add_argument("--validation", nargs="+", default=[], metavar="VOLUME", help="volumes held out")
    command.add_argument("--seed", type=int, default=0, help="the only source of randomness (0)")


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.models.training import train

    output = Path(options.output)
    if output.exists():
        raise FileExistsError(f"`--output` (={output}) exists already")
    # The state for resuming lies beside the checkpoint until that is complete.
    state = output.with_name(f"{output.name}.training")
    with training_progress_bar() as on_progress:
        result = train(
            options.config,
            options.volumes,
            validation=options.validation,
            seed=options.seed,
            directory=state,
            on_progress=on_progress,
        )
    result.save(output)
    shutil.rmtree(state, ignore_errors=True)
