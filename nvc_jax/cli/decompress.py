"""The command ``nvc decompress``."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import byte_progress_bar


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Decompress a container, or a region of it, into a file."
    command = arguments.add_parser(commands, "decompress", _run, summary)
    command.add_argument("input", metavar="IN", help=arguments.CONTAINER_HELP)
    arguments.add_output(
        command,
        ".npy, .npz, .raw, .zarr, .ome.zarr; with the extra io also .nii, .nrrd, .mrc, …: see the README",
        ".npy",
    )
    command.add_argument("--region", type=arguments.region, help="z0:z1,y0:y1,x0:x1")
    command.add_argument("--preview", action="store_true", help="only the means of 8 x 8 x 8 voxels")
    arguments.add_mode(command)
    arguments.add_overwrite(command)


def _run(options: argparse.Namespace) -> None:
    arguments.check_two(options)
    from nvc_jax.compression.decompress import decompress

    with byte_progress_bar("decompress") as on_progress:
        decompress(
            arguments.location(options.input),
            options.output,
            region=options.region,
            mode=options.mode,
            level="preview" if options.preview else "full",
            overwrite=options.overwrite,
            on_progress=on_progress,
        )
