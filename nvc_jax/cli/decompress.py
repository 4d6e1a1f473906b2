"""The command ``nvc decompress``."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_summary
from nvc_jax.cli.progress import byte_progress_bar
from nvc_jax.cli.quantities import format_bytes
from nvc_jax.cli.summary import describe_speed, speed_values

_EXAMPLES = (
    "nvc decompress volume.zarr volume.npy",
    "nvc decompress scan.zarr scan.nii.gz",
    "nvc decompress volume.zarr part.npy --region 0:16,:,32:64",
    "nvc decompress volume.zarr preview.npy --preview         # means of 8 × 8 × 8 voxels, in no time",
)


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Decompress a container, or a region of it, into a file."
    command = arguments.add_parser(commands, "decompress", _run, summary, _EXAMPLES)
    command.add_argument("input", metavar="IN", help=arguments.CONTAINER_HELP)
    arguments.add_output(
        command,
        ".npy, .npz, .raw, .zarr, .ome.zarr; with the extra io also .nii.gz, .mgz, .nrrd, .mha, .mrc, .tif, "
        ".h5, .nc",
        ".npy",
    )
    command.add_argument("--region", type=arguments.region, metavar="Z0:Z1,…", help="part, z0:z1,y0:y1,x0:x1")
    command.add_argument("--preview", action="store_true", help="only the means of 8 x 8 x 8 voxels")
    arguments.add_mode(command)
    arguments.add_overwrite(command)


def _run(options: argparse.Namespace) -> None:
    arguments.check_two(options)
    from nvc_jax.compression.decompress import decompress

    with byte_progress_bar("decompress", quiet=options.quiet or options.json) as meter:
        decompress(
            arguments.location(options.input),
            options.output,
            region=options.region,
            mode=options.mode,
            level="preview" if options.preview else "full",
            overwrite=options.overwrite,
            on_progress=meter,
        )
    assert meter.latest is not None
    n_bytes, dtype = meter.latest.done_bytes, meter.latest.dtype
    sentence = f"{options.output}: {format_bytes(n_bytes)} of {dtype}; {describe_speed(meter)}"
    values = {"output": options.output, "dtype": dtype, "bytes": n_bytes}
    print_summary(sentence, values | speed_values(meter), options)
