"""The command ``nvc compress``."""

import argparse
import time

from nvc_jax.cli import arguments
from nvc_jax.cli.output import byte_progress_bar, print_values
from nvc_jax.core.choices import DEFAULT_MODEL


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    command = arguments.add_parser(commands, "compress", _run, "Compress a volume into a container.")
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
    command.add_argument(
        "--missing-value",
        type=arguments.number,
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
        action="append",
        default=[],
        help="measured value, such as 0, that comes back exactly; may be given again",
    )
    command.add_argument("--resume", action="store_true", help="continue an interrupted run")
    command.add_argument(
        "--chunk",
        type=arguments.shape,
        help="voxels of a chunk, z,y,x (about 128,128,128); 1 along time and channels",
    )
    command.add_argument(
        "--shard", type=arguments.shape, help="voxels of a stored object, z,y,x (those of a chunk)"
    )
    command.add_argument(
        "--part",
        type=arguments.part,
        metavar="I/N",
        help="write the I-th share, from 0 on, of a container that N processes write",
    )
    arguments.add_selection(command)
    arguments.add_raw_layout(command)
    arguments.add_overwrite(command)
    arguments.add_json(command)


def _add_target(command: argparse.ArgumentParser) -> None:
    """Add the quality targets, which exclude each other."""
    target = command.add_mutually_exclusive_group()
    target.add_argument(
        "--max-error", type=arguments.number, help="largest difference of any voxel, in the volume's units"
    )
    target.add_argument(
        "--relative-error",
        type=arguments.number,
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
        help="of the quantiser, relative to max − min (0.01; labels are lossless without a target); "
        "for the paper's models, in units of latents",
    )
    target.add_argument("--psnr", type=arguments.number, help="dB to reach, relative to max − min")


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

    source = arguments.volume(options.input, options)
    start = time.perf_counter()
    with byte_progress_bar("compress") as on_progress:
        result = compress(
            source,
            arguments.location(options.output),
            model=options.model,
            max_error=options.max_error,
            relative_error=options.relative_error,
            pointwise_error=options.pointwise_error,
            psnr=options.psnr,
            step=options.step,
            lossless=options.lossless,
            missing_values=options.missing_value,
            value_limits=options.value_limits,
            exact_values=options.exact_value,
            resume=options.resume,
            overwrite=options.overwrite,
            chunks=options.chunk,
            shards=options.shard,
            part=options.part,
            on_progress=on_progress,
        )
    seconds = time.perf_counter() - start
    if not result.is_complete:  # other writers are still at work
        print_values({"part": options.part[0], "parts": options.part[1], "seconds": seconds}, options.json)
        return
    names = ("model", "max_error", "stored_bytes", "bits_per_voxel", "ratio")
    measures = {name: getattr(result, name) for name in names}
    if (level := describe_level(source)) is not None:
        measures = {"level": level} | measures
    if result.target == {"lossless": True} and not options.lossless:
        measures = {"target": "lossless, as of labels"} | measures
    print_values(measures | {"seconds": seconds}, options.json)
