"""The command ``nvc compare``."""

import argparse
import dataclasses
from itertools import groupby
from pathlib import Path

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_table, print_values
from nvc_jax.cli.progress import count_progress_bar
from nvc_jax.core.choices import DEFAULT_MODEL

_EXAMPLES = (
    "nvc compare scan.nii.gz",
    "nvc compare flow.h5::/velocity --max-error 0.01 --psnr 45 --plot rate.png",
)


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Compare nvc with SPERR, SZ3, zfp, Zstandard and Blosc2 on a volume of yours."
    command = arguments.add_parser(commands, "compare", _run, summary, _EXAMPLES)
    command.add_argument("input", metavar="IN", help=arguments.VOLUME_HELP)
    command.add_argument("--model", default=DEFAULT_MODEL, help="name, or directory of a checkpoint")
    targets = {
        "--max-error": "largest difference of any voxel, in the volume's units",
        "--relative-error": "largest difference of any voxel, relative to max − min (1e-2, 1e-3, 1e-4)",
        "--psnr": "dB to reach, relative to max − min",
    }
    for option, text in targets.items():
        command.add_argument(
            option,
            type=arguments.number,
            action="append",
            default=[],
            help=f"{text}; may be given again",
        )
    command.add_argument("--lossless", action="store_true", help="every bit comes back")
    command.add_argument(
        "--against", default="sperr,sz3,zfp", metavar="CODEC,...", help="lossy codecs (sperr,sz3,zfp)"
    )
    command.add_argument("--plot", metavar="PNG", help="draw PSNR by bits per voxel")
    command.add_argument(
        "--missing-value",
        type=arguments.number,
        action="append",
        default=[],
        help="value that stands for no measurement; may be given again",
    )
    command.add_argument("--chunk", type=arguments.shape, help="voxels of a chunk, z,y,x, as of compress")
    arguments.add_selection(command)
    arguments.add_raw_layout(command)
    arguments.add_overwrite(command)


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.comparison.compare import compare
    from nvc_jax.comparison.rate_plot import check_plot, save_rate_plot
    from nvc_jax.comparison.verdict import describe_target, judge

    if options.plot is not None:
        check_plot(options.plot, options.overwrite)
    names = ("max_error", "relative_error", "psnr")
    targets: list[dict[str, float]] = [{name: value} for name in names for value in getattr(options, name)]
    targets += [{"lossless": True}] * options.lossless
    with count_progress_bar("compare", quiet=options.quiet or options.json) as on_progress:
        rows = compare(
            arguments.volume(options.input, options),
            targets or None,
            model=options.model,
            against=[name for name in options.against.split(",") if name],
            missing_values=options.missing_value,
            chunks=options.chunk,
            on_progress=on_progress,
        )
    if options.plot is not None:
        title = f"{Path(options.input).name} ({100 * rows[0].share:.3g} % of the voxels)"
        save_rate_plot(options.plot, rows, title, overwrite=options.overwrite)
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row.target)]
    verdicts = [judge(group) for group in groups]
    if options.json:
        listed = [dataclasses.asdict(row) for row in rows]
        print_values({"codecs": listed, "verdicts": verdicts, "plot": options.plot}, as_json=True)
        return
    print_table(
        ("codec", "target", "bits/voxel", "ratio", "PSNR dB", "max error", "encode MB/s", "decode MB/s"),
        [
            (
                row.codec,
                describe_target(row.target),
                f"{row.bits_per_voxel:.3f}",
                f"{row.ratio:.2f}",
                f"{row.psnr_db:.2f}",
                f"{row.max_error:.4g}",
                f"{row.encode_mb_per_second:.1f}",
                f"{row.decode_mb_per_second:.1f}",
            )
            for row in rows
        ],
    )
    compiling = sum(row.compile_seconds for row in rows)
    print(f"tried: {100 * rows[0].share:.3g} % of the voxels; compiling before that: {compiling:.1f} s")
    print(*verdicts, sep="\n")
    if options.plot is not None:
        print(f"plot: {options.plot}")
