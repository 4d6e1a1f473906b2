"""The command ``nvc train``."""

import argparse
import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nvc_jax.cli import arguments
from nvc_jax.cli.interruption import Interrupted
from nvc_jax.cli.output import print_summary
from nvc_jax.cli.progress import training_progress_bar
from nvc_jax.core.choices import KEPT_PARAMS
from nvc_jax.core.unfinished import granting, unfinished

if TYPE_CHECKING:
    from nvc_jax.training.progress import TrainingProgress

_EXAMPLES = (
    "nvc train nvc-1 run1.npy run2.npy run3.npy --output my-model",
    "nvc train config.json *.nii.gz --output my-network --validation held-out.nii.gz --keep best",
    "nvc train nvc-1 run*.npy --output my-model --minutes 30",
    "srun --ntasks 8 nvc train config.json flow.zarr --output my-network",
)
_GRACE_SECONDS = 25.0
"""Seconds after SIGTERM in which a training may save its state: schedulers kill processes after 30."""


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Train a model on your own volumes; called again, it resumes."
    command = arguments.add_parser(commands, "train", _run, summary, _EXAMPLES)
    command.add_argument("config", metavar="CONFIG", help="JSON file, or a model's name (its own settings)")
    command.add_argument("volumes", metavar="VOLUME", nargs="+", help=arguments.VOLUME_HELP)
    command.add_argument("--output", required=True, metavar="DIR", help="directory of the new checkpoint")
    command.add_argument("--validation", nargs="+", default=[], metavar="VOLUME", help="volumes held out")
    command.add_argument(
        "--keep",
        choices=KEPT_PARAMS,
        default=KEPT_PARAMS[0],
        help="parameters: the last, or the best on --validation",
    )
    command.add_argument("--seed", type=int, default=0, help="the only source of randomness (0)")
    command.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="time to train for, with what is resumed, in place of the epochs or blocks of CONFIG",
    )
    command.add_argument(
        "--checkpoint-every",
        type=int,
        default=10_000,
        metavar="STEPS",
        help="steps between states kept (10000)",
    )
    command.add_argument(
        "--figures", metavar="DIR", help="draw the learning curve, and decoded slices of --validation volumes"
    )
    command.add_argument("--tensorboard", metavar="DIR", help="directory of event files for TensorBoard")
    command.add_argument(
        "--alone", action="store_true", help="work in this process alone, also under srun and mpirun"
    )
    arguments.add_raw_layout(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.training.launch import connect_processes, failing_together

    if not options.alone:
        connect_processes()
    with failing_together():
        _run_connected(options)


def _run_connected(options: argparse.Namespace) -> None:
    """Train a model into a directory that no run but this one's processes uses."""
    from nvc_jax.io.locks import locked
    from nvc_jax.io.paths import output_path, real_path
    from nvc_jax.training.mesh import is_first_process, wait_for_processes
    from nvc_jax.training.runs import check_run_directory

    output = output_path(options.output)
    if output.exists():
        raise FileExistsError(f"`--output` (={output}) exists already; name a new directory")
    # The state for resuming lies beside the checkpoint until that is complete.
    real = real_path(output)
    state = real.with_name(f"{real.name}.training")
    with _naming_directory(output, real.parent):
        real.parent.mkdir(parents=True, exist_ok=True)
    check_run_directory(state)
    wait_for_processes("nothing is at the place of the output")

    def describe() -> str | None:
        kept = f"the state of the training is kept in `{state}`; the same command continues it"
        return kept if state.exists() else None

    with contextlib.ExitStack() as stack:
        if is_first_process():
            with _naming_directory(output, real.parent):
                stack.enter_context(locked(state, output))
        with unfinished(state, describe), granting(_GRACE_SECONDS):
            _train(options, output, state)


@contextlib.contextmanager
def _naming_directory(output: Path, directory: Path) -> Iterator[None]:
    """Have an error of the system name the directory in which a checkpoint is to lie."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise type(error)(
            f"`--output` (={output}): its directory `{directory}` cannot be written: {error.strerror}; make "
            "it, or name another one"
        ) from error


def _train(options: argparse.Namespace, output: Path, state: Path) -> None:
    """Train a model and save it."""
    from nvc_jax.cli.training_figures import check_training_figures, save_training_figures
    from nvc_jax.io.paths import output_path
    from nvc_jax.models.training import train
    from nvc_jax.training.mesh import is_first_process, wait_for_processes
    from nvc_jax.training.preemption import Preempted
    from nvc_jax.training.runs import remove_run

    figures = None if options.figures is None else output_path(options.figures)
    if figures is not None:
        check_training_figures(figures)
    start = time.monotonic()
    is_quiet = options.quiet or options.json or not is_first_process()
    try:
        with training_progress_bar(quiet=is_quiet) as on_progress:
            result = train(
                options.config,
                [arguments.volume(text, options) for text in options.volumes],
                validation=[arguments.volume(text, options) for text in options.validation],
                seed=options.seed,
                directory=state,
                on_progress=on_progress,
                checkpoint_every=options.checkpoint_every,
                keep=options.keep,
                tensorboard=options.tensorboard,
                minutes=options.minutes,
            )
    except Preempted:
        raise Interrupted(signal.SIGTERM) from None
    result.save(output)
    wait_for_processes("the model is saved")
    if not is_first_process():
        return
    remove_run(state)
    if figures is not None:
        shown = options.validation or options.volumes
        save_training_figures(figures, result, [arguments.volume(text, options) for text in shown])
    seconds = time.monotonic() - start
    wait = _data_wait(result.history)
    sentence = (
        f"{output}: a model of {len(options.volumes)} volumes, trained in {seconds:.3g} s"
        f"{'' if wait is None else f' ({wait:.1%} of it waiting for data)'}; "
        f"nvc compress IN OUT --model {output} uses it"
    )
    summary = {"checkpoint": str(output), "seconds": seconds, "data_wait": wait}
    print_summary(sentence, summary, options)


def _data_wait(history: Sequence["TrainingProgress"]) -> float | None:
    """Compute the share of a training's time in which devices waited for data; None for no reports."""
    seconds = sum(report.seconds for report in history)
    return sum(report.seconds * report.data_wait for report in history) / seconds if seconds else None
