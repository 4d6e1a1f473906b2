"""The command ``nvc compress``."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_summary
from nvc_jax.cli.parts import AUTO, choose_part, describe_part, read_part
from nvc_jax.cli.progress import ByteMeter, byte_progress_bar
from nvc_jax.cli.summary import advise, compression_values, describe_compression, speed_values
from nvc_jax.core.choices import DEFAULT_MODEL

if TYPE_CHECKING:
    from nvc_jax.compression.result import CompressionResult

_EXAMPLES = (
    "nvc compress scan.nii.gz scan.zarr                      # 0.1 % of max − min; labels lossless",
    "nvc compress volume.tif volume.zarr --psnr 45",
    "nvc compress flow.h5::/velocity flow.zarr --max-error 0.01",
    "nvc compress snapshot.bin snapshot.zarr --shape 256,384,384 --dtype float64 --relative-error 1e-4",
)


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    command = arguments.add_parser(
        commands, "compress", _run, "Compress a volume into a container.", _EXAMPLES
    )
    command.add_argument("input", metavar="IN", help=arguments.VOLUME_HELP)
    arguments.add_output(
        command,
        f"{arguments.CONTAINER_HELP}; a container that lies there is replaced",
        ".zarr",
        is_optional=True,
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing: print expected bytes, quality and seconds, for a few targets if none is named",
    )
    command.set_defaults(parser=command)
    command.add_argument("--model", default=DEFAULT_MODEL, help="name, or directory of a checkpoint")
    _add_target(command)
    _add_values(command)
    _add_layout(command)
    arguments.add_selection(command)
    arguments.add_raw_layout(command)
    arguments.add_overwrite(command)


def _add_values(command: argparse.ArgumentParser) -> None:
    """Add the options that say which values come back exactly, and which do not occur."""
    command.add_argument(
        "--missing-value",
        type=arguments.number,
        metavar="V",
        action="append",
        default=[],
        help="value that stands for no measurement, and comes back exactly; may be given again",
    )
    command.add_argument(
        "--value-limits",
        type=arguments.limits,
        metavar="MIN,MAX",
        help="no voxel decodes to less or more; one may be left out: 0, keeps values from becoming negative",
    )
    command.add_argument(
        "--exact-value",
        type=arguments.number,
        metavar="V",
        action="append",
        default=[],
        help="measured value, such as 0, that comes back exactly; may be given again",
    )


def _add_layout(command: argparse.ArgumentParser) -> None:
    """Add the options of chunks, of levels and of several writers."""
    command.add_argument("--resume", action="store_true", help="continue an interrupted run")
    command.add_argument(
        "--chunk",
        type=arguments.shape,
        metavar="Z,Y,X",
        help="voxels of a chunk (about 128,128,128); 1 along time and channels",
    )
    command.add_argument(
        "--shard", type=arguments.shape, metavar="Z,Y,X", help="voxels of a stored object (those of a chunk)"
    )
    command.add_argument(
        "--part",
        type=read_part,
        metavar="I/N",
        help="write the I-th share, from 0 on, of a container that N processes write; under srun or mpirun "
        "auto, or 0/1 for a container of each task's own",
    )
    command.add_argument(
        "--pyramid",
        action="store_true",
        help="write OUT.ome.zarr with levels of half the resolution each, for viewers of OME-Zarr",
    )


def _add_target(command: argparse.ArgumentParser) -> None:
    """Add the quality targets, which exclude each other."""
    group = command.add_argument_group(
        "quality target", "one of these; without any, --relative-error 1e-3, and labels are lossless"
    )
    target = group.add_mutually_exclusive_group()
    target.add_argument(
        "--max-error",
        type=arguments.number,
        metavar="E",
        help="largest difference of any voxel, in its units",
    )
    target.add_argument(
        "--relative-error",
        type=arguments.number,
        metavar="E",
        help="largest difference of any voxel, relative to max − min",
    )
    target.add_argument(
        "--pointwise-error",
        type=arguments.number,
        metavar="E",
        help="largest difference of any voxel, relative to its own magnitude; zeros and signs stay exact",
    )
    target.add_argument("--lossless", action="store_true", help="every bit comes back")
    target.add_argument(
        "--step",
        type=arguments.number,
        metavar="S",
        help="of the quantiser, relative to max − min, such as 0.01: most for the bits, without a bound; for "
        "the paper's models in units of latents",
    )
    target.add_argument("--psnr", type=arguments.number, metavar="DB", help="dB to reach, by max − min")


def _run(options: argparse.Namespace) -> None:
    if options.dry_run:
        from nvc_jax.cli.dry_run import run_dry

        run_dry(options)
        return
    if options.output is None:
        options.parser.error("the following arguments are required: OUT; --dry-run writes none")
    arguments.check_two(options)
    from nvc_jax.compression.compress import compress
    from nvc_jax.io.volumes import describe_level

    share = choose_part(options.part, os.environ)
    source = arguments.volume(options.input, options)
    # Of tasks that share one log, the first tells how far they are.
    is_silent = options.quiet or options.json or (options.part == AUTO and share is not None and share[0] > 0)
    with byte_progress_bar(", ".join(["compress", *describe_part(share)]), quiet=is_silent) as meter:
        result = compress(
            source,
            arguments.location(options.output),
            model=options.model,
            **arguments.quality_targets(options),
            missing_values=options.missing_value,
            value_limits=options.value_limits,
            exact_values=options.exact_value,
            resume=options.resume,
            pyramid=options.pyramid,
            overwrite=options.overwrite,
            chunks=options.chunk,
            shards=options.shard,
            part=share,
            on_progress=meter,
        )
    _report(result, meter, describe_level(source), share, options)


def _report(
    result: "CompressionResult",
    meter: ByteMeter,
    level: str | None,
    share: tuple[int, int] | None,
    options: argparse.Namespace,
) -> None:
    """Print what was done, and what was decided where the user said nothing."""
    values: dict[str, Any] = {} if share is None else {"part": share[0], "parts": share[1]}
    if not result.is_complete:  # other writers are still at work
        (part,) = describe_part(share)
        sentence = f"{options.output}: {part} is written; the last one completes the container"
        print_summary(sentence, values | speed_values(meter), options)
        return
    values |= {} if level is None else {"level": level}
    values |= compression_values(result, options.output, meter)
    if not arguments.quality_targets(options) and (advice := advise(result)) is not None:
        values["advice"] = advice
        if not (options.quiet or options.json):
            print(f"nvc compress: {advice}", file=sys.stderr)
    sentence = describe_compression(result, options.output, meter)
    if level is not None:
        sentence += f" (level {level})"
    for part in describe_part(share):
        sentence += f"; {part} is written, and the container is complete"
    print_summary(sentence, values, options)
