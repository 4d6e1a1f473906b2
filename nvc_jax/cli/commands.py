"""The command line, ``nvc``: the only module that prints."""

import argparse
import contextlib
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from nvc_jax.autoencoder.blocks import MODES
from nvc_jax.autoencoder.config import VARIANTS
from nvc_jax.autoencoder.training import config as config_module
from nvc_jax.autoencoder.training import loop
from nvc_jax.autoencoder.training.blocks import block_batches
from nvc_jax.cli.demo import run_demo
from nvc_jax.compression import compress, decompress, progress
from nvc_jax.compression.options import DEFAULT_MODEL
from nvc_jax.core.shapes import Shape3
from nvc_jax.evaluation import containers
from nvc_jax.io.open_scivis import fetch_dataset, load_catalog
from nvc_jax.io.volumes import read_volume
from nvc_jax.models import training
from nvc_jax.models.checkpoints import load_checkpoint, shipped_models
from nvc_jax.models.codec import Codec
from nvc_jax.models.identity import model_sha256
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.refinement import fit_spectral
from nvc_jax.training import progress as training_progress


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``nvc`` with ``arguments`` (those of the process if None); returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"nvc {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nvc", description="Compress 3-D scientific volumes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Any, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(run=run)
        return command

    volume_help = "file, Zarr store, URL, or JSON of a TensorStore spec: see the README"
    container_help = "container: a directory, a .zip file, a URL, or JSON of a TensorStore spec"
    command = add("compress", _compress, "Compress a volume into a container.")
    command.add_argument("input", metavar="IN", help=volume_help)
    command.add_argument("output", metavar="OUT", help=f"{container_help}; a Zarr store is replaced")
    command.add_argument("--model", default=DEFAULT_MODEL, help="name, or directory of a checkpoint")
    rate = command.add_mutually_exclusive_group()
    rate.add_argument("--max-error", type=float, help="no voxel differs by more, in the volume's units")
    rate.add_argument("--relative-error", type=float, help="no voxel differs by more, relative to max − min")
    rate.add_argument("--lossless", action="store_true", help="every bit comes back")
    step_help = (
        "of the quantiser, relative to max − min (0.01); for the paper's models in units of their latents"
    )
    rate.add_argument("--step", type=float, help=step_help)
    rate.add_argument("--psnr", type=float, help="dB to reach, relative to max − min")
    fill_help = "stands for what is missing, and comes back exactly; may be given again"
    command.add_argument("--fill-value", type=float, action="append", default=[], help=fill_help)
    command.add_argument("--resume", action="store_true", help="go on with what an interrupted run left")
    command.add_argument("--chunk", type=_shape, help="voxels to a chunk, z,y,x (about 128,128,128)")
    command.add_argument("--shard", type=_shape, help="voxels to an object, z,y,x (those of a chunk)")
    part_help = "write the I-th share, from 0 on, of a container that N processes write"
    command.add_argument("--part", type=_part, metavar="I/N", help=part_help)
    command.add_argument("--json", action="store_true", help="print the summary as JSON")

    command = add("decompress", _decompress, "Decompress a container, or a region of it, into a file.")
    command.add_argument("input", metavar="IN", help=container_help)
    command.add_argument("output", metavar="OUT", help=".npy, .npz, .raw or .zarr; replaced if it exists")
    command.add_argument("--region", type=_region, help="z0:z1,y0:y1,x0:x1")
    command.add_argument("--preview", action="store_true", help="only the means of 8 x 8 x 8 voxels")
    _add_mode(command)

    command = add("info", _info, "Say what a container holds.")
    command.add_argument("input", metavar="IN", help=container_help)
    command.add_argument("--json", action="store_true", help="print one JSON object")

    command = add("evaluate", _evaluate, "Measure a container's size and error against the original.")
    command.add_argument("original", metavar="ORIGINAL", help=volume_help)
    command.add_argument("compressed", metavar="COMPRESSED", help=container_help)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    _add_mode(command)

    command = add("verify", _verify, "Decode every chunk of a container; compare it with the original.")
    command.add_argument("input", metavar="STORE", help=container_help)
    command.add_argument("original", metavar="ORIGINAL", nargs="?", help=volume_help)
    command.add_argument("--json", action="store_true", help="print one JSON object")

    command = add("train", _train, "Train a model on your own volumes; called again, it resumes.")
    command.add_argument("config", metavar="CONFIG", help="JSON file, or a variant's name (paper's settings)")
    command.add_argument("volumes", metavar="VOLUME", nargs="+", help=volume_help)
    command.add_argument("--output", required=True, metavar="DIR", help="directory of the new checkpoint")
    command.add_argument("--validation", nargs="+", default=[], metavar="VOLUME", help="volumes held out")
    command.add_argument("--seed", type=int, default=0, help="the only source of randomness (0)")

    add("models", _models, "List the models that ship with the package.")

    command = add("fetch", _fetch, "Download a public volume of the Open SciVis Datasets.")
    command.add_argument("dataset", metavar="DATASET", nargs="?", help="its name; without one, list all")
    command.add_argument("--directory", default=".", help="where to put the .raw file (here)")

    command = add("demo", _demo, "Compress an embedded simulated volume with every model; draw a picture.")
    command.add_argument("--output", default="nvc-demo.png", metavar="PNG", help="the picture")
    return parser


def _add_mode(command: argparse.ArgumentParser) -> None:
    command.add_argument("--mode", choices=MODES, default="blend", help="decoded margins (blend)")


def _shape(text: str) -> Shape3:
    sides = text.split(",")
    if len(sides) != 3 or not all(side.isdecimal() for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} must be three numbers: z,y,x")
    z, y, x = map(int, sides)
    return z, y, x


def _part(text: str) -> tuple[int, int]:
    numbers = text.split("/")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} must be I/N")
    return int(numbers[0]), int(numbers[1])


def _location(text: str) -> str | dict[str, Any]:
    """A path or URL as it is; what looks like JSON as a TensorStore spec."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no JSON of a TensorStore spec: {error}") from error


def _region(text: str) -> decompress.Region3:
    parts = [part.split(":") for part in text.split(",")]
    if len(parts) != 3 or any(len(p) != 2 or not all(s == "" or s.isdecimal() for s in p) for p in parts):
        raise argparse.ArgumentTypeError(f"{text!r} must be z0:z1,y0:y1,x0:x1")
    z, y, x = (slice(*(int(s) if s else None for s in part)) for part in parts)
    return z, y, x


def _print_values(values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        # Strict JSON has no infinity or NaN (the PSNR of an exact copy): null instead.
        odd = [key for key, value in values.items() if isinstance(value, float) and not math.isfinite(value)]
        print(json.dumps(values | dict.fromkeys(odd)))
        return
    for key, value in values.items():
        print(f"{key:<16}{value:.6g}" if isinstance(value, float) else f"{key:<16}{value}")


def _compress(options: argparse.Namespace) -> None:
    began = time.perf_counter()
    output = _location(options.output)
    with _progress("compress") as on_progress:
        is_whole = compress.compress(
            _location(options.input),
            output,
            model=options.model,
            max_error=options.max_error,
            relative_error=options.relative_error,
            psnr=options.psnr,
            step=options.step,
            lossless=options.lossless,
            missing_values=options.fill_value,
            resume=options.resume,
            chunk=options.chunk,
            shard=options.shard,
            part=options.part,
            on_progress=on_progress,
        )
    seconds = time.perf_counter() - began
    if not is_whole:
        # Others are still at work.
        _print_values({"part": options.part[0], "parts": options.part[1], "seconds": seconds}, options.json)
        return
    summary = containers.info(output)
    chosen = {key: summary[key] for key in ("model", "max_error", "stored_bytes", "bits_per_voxel", "ratio")}
    _print_values(chosen | {"seconds": seconds}, options.json)


@contextlib.contextmanager
def _progress(verb: str) -> Iterator[Callable[[progress.Progress], None]]:
    """A bar on a terminal's standard error: how much is done, how fast, at what ratio, and the time left."""
    columns = (
        TextColumn(verb),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[ratio]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, ratio="")

        def on_progress(now: progress.Progress) -> None:
            ratio = f"ratio {now.done_bytes / now.stored_bytes:.1f}" if now.stored_bytes else ""
            bar.update(task, completed=now.done_bytes, total=now.total_bytes, ratio=ratio)

        yield on_progress


def _decompress(options: argparse.Namespace) -> None:
    with _progress("decompress") as on_progress:
        decompress.decompress(
            _location(options.input),
            options.output,
            region=options.region,
            mode=options.mode,
            level="preview" if options.preview else "full",
            on_progress=on_progress,
        )


def _info(options: argparse.Namespace) -> None:
    _print_values(containers.info(_location(options.input)), options.json)


def _evaluate(options: argparse.Namespace) -> None:
    measures = containers.evaluate(
        _location(options.original), _location(options.compressed), mode=options.mode
    )
    _print_values(measures, options.json)


def _verify(options: argparse.Namespace) -> None:
    original = None if options.original is None else _location(options.original)
    _print_values(containers.verify(original, _location(options.input)), options.json)


def _train(options: argparse.Namespace) -> None:
    output = Path(options.output)
    if output.exists():
        raise FileExistsError(f"`--output` (={output}) exists already")
    config = _training_config(options.config)
    if isinstance(config.model, SpectralConfig):
        if options.validation:
            raise ValueError(
                f"`--validation` (={options.validation}): spectral models take none; "
                "of eight volumes or more they hold some out themselves"
            )
        volumes = [read_volume(volume) for volume in options.volumes]
        # Volumes of one shape are taken for a series, whose axes may mean different things.
        is_series = len({volume.shape for volume in volumes}) == 1
        params = fit_spectral(volumes, config.model, seed=options.seed, augment=not is_series)
        sources = [Path(volume).name for volume in options.volumes]
        training.save_result(output, config, sources, Codec(config.model, jax.device_get(params)))
        return
    train_key, *block_keys = jax.random.split(jax.random.key(options.seed), 3)
    batches, validation = (
        block_batches(volumes, config.model, key=key, blocks_per_volume=config.blocks_per_volume)
        if volumes
        else None
        for volumes, key in zip((options.volumes, options.validation), block_keys, strict=True)
    )
    assert batches is not None  # argparse asks for at least one volume
    columns = (
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("loss {task.fields[loss]}  validation {task.fields[validation]}"),
        TextColumn("{task.fields[rate]} blocks/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, loss="–", validation="–", rate="–")

        def on_progress(now: training_progress.Progress) -> None:
            bar.update(
                task,
                completed=now.step,
                total=now.total_steps,
                loss=f"{now.loss:.6f}",
                rate=f"{now.blocks_per_second:,.0f}",
            )
            if now.validation_loss is not None:
                bar.update(task, validation=f"{now.validation_loss:.6f}")

        # The state for resuming lies beside the checkpoint until that one is whole.
        state = output.with_name(f"{output.name}.training")
        result = loop.train(
            config, batches, key=train_key, validation=validation, directory=state, on_progress=on_progress
        )
    training.save_result(output, config, batches.sources, result.codec, result.history)
    shutil.rmtree(state)


def _training_config(name: str) -> config_module.TrainingConfig:
    if name == DEFAULT_MODEL:
        return config_module.TrainingConfig(model=SpectralConfig())
    if name in VARIANTS:
        return config_module.TrainingConfig(model=VARIANTS[name])
    path, known = Path(name), (DEFAULT_MODEL, *VARIANTS)
    if not path.is_file():
        raise FileNotFoundError(f"`CONFIG` (={name}) is neither a file nor one of {', '.join(known)}")
    try:
        description = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"`CONFIG` (={name}) is not JSON: {error}") from error
    if not isinstance(description, dict):
        raise ValueError(f"`CONFIG` (={name}) must hold a JSON object")
    return config_module.TrainingConfig.from_dict(description)


def _print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None)
    for index, title in enumerate(head):
        table.add_column(title, no_wrap=True, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table, width=max(console.width, 120))


def _models(_: argparse.Namespace) -> None:
    rows = []
    for name in shipped_models():
        config, params = load_checkpoint(name)
        n_params = sum(leaf.size for leaf in jax.tree.leaves(params))
        sizes = (config.block_size, config.margin, config.latent_dim, f"{n_params:,}")
        rows.append((name, config.architecture, *map(str, sizes), model_sha256(config, params)[:12]))
    _print_table(("model", "architecture", "block", "margin", "latents", "parameters", "SHA-256"), rows)


def _fetch(options: argparse.Namespace) -> None:
    if options.dataset is not None:
        print(fetch_dataset(options.dataset, options.directory))
        return
    rows = [
        (name, " × ".join(map(str, entry["size_xyz"])), entry["dtype"], f"{entry['bytes'] / 1e6:,.1f}")
        for name, entry in load_catalog().items()
    ]
    _print_table(("data set", "size x × y × z", "dtype", "MB"), rows)


def _demo(options: argparse.Namespace) -> None:
    rows = []
    for name, m in run_demo(options.output).items():
        seconds = (f"{m['compress_seconds']:.3f}", f"{m['decompress_seconds']:.3f}")
        rows.append((name, f"{m['ratio']:.2f}", f"{m['psnr_db']:.2f}", f"{m['max_error']:.0f}", *seconds))
    _print_table(("model", "ratio", "PSNR dB", "max error", "compress s", "decompress s"), rows)
    print(f"picture: {options.output}")
