"""The command ``nvc demo``: an embedded simulated volume through shipped models.

The volume is the vorticity magnitude of decaying turbulence, 96³ uint8, which ``benchmarks/sample.py``
simulated.
"""

import argparse
from pathlib import Path

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_table

SAMPLE = Path(__file__).with_name("sample.npz")
"""Path of the embedded volume."""


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Compress an embedded simulated volume with several models; draw a picture."
    command = arguments.add_parser(commands, "demo", _run, summary)
    command.add_argument("--output", default="nvc-demo.png", metavar="PNG", help="the picture")
    arguments.add_overwrite(command)
    command.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="name, or directory of a checkpoint; may be given again (all models that ship with the package)",
    )


def _run(options: argparse.Namespace) -> None:
    from nvc_jax.cli.demonstration import run_demo

    rows = []
    for name, m in run_demo(SAMPLE, options.output, options.model, overwrite=options.overwrite).items():
        seconds = (f"{m['compress_seconds']:.3f}", f"{m['decompress_seconds']:.3f}")
        rows.append((name, f"{m['ratio']:.2f}", f"{m['psnr_db']:.2f}", f"{m['max_error']:.0f}", *seconds))
    print_table(("model", "ratio", "PSNR dB", "max error", "compress s", "decompress s"), rows)
    print(f"picture: {options.output}")
