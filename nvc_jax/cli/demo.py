"""The command ``nvc demo``: an embedded simulated volume, compressed by a model and by other codecs.

The volume is the vorticity magnitude of decaying turbulence, 96³ uint8, which ``benchmarks/sample.py``
simulated.
"""

import argparse
import sys
from pathlib import Path

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_json, print_table
from nvc_jax.core.choices import DEFAULT_MODEL

SAMPLE = Path(__file__).with_name("sample.npz")
"""Path of the embedded volume."""
_HEADER = ("codec", "ratio", "PSNR dB", "max error", "compress s", "decompress s", "compiling, once, s")


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    summary = "Compress an embedded volume with nvc-1 and, at equal bits, with its rivals; draw a picture."
    examples = (
        "nvc demo",
        "nvc demo --output turbulence.png --overwrite",
        "nvc demo --model nvc-1 --model two-wide-margin",
    )
    command = arguments.add_parser(commands, "demo", _run, summary, examples)
    command.add_argument("--output", default="nvc-demo.png", metavar="PNG", help="the picture")
    arguments.add_overwrite(command)
    command.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help=f"name, or directory of a checkpoint ({DEFAULT_MODEL}); may be given again",
    )


def _run(options: argparse.Namespace) -> None:
    is_silent = options.quiet or options.json
    if not is_silent:
        print("nvc demo: compiling, compressing, drawing; this takes less than a minute", file=sys.stderr)
    from nvc_jax.cli.demonstration import ADVICE, run_demo

    models = options.model or [DEFAULT_MODEL]
    results = run_demo(SAMPLE, options.output, models, overwrite=options.overwrite)
    if options.json:
        print_json({"picture": options.output, "codecs": results})
        return
    print_table(_HEADER, [_row(name, measures) for name, measures in results.items()])
    if not is_silent:
        if len(results) == len(models):
            print(f"nvc demo: {ADVICE}", file=sys.stderr)
        print(f"picture: {options.output}")


def _row(name: str, measures: dict[str, float]) -> tuple[str, ...]:
    """Row of the table: one codec."""
    seconds = (f"{measures[f'{verb}_seconds']:.3f}" for verb in ("compress", "decompress"))
    compiling = f"{measures['compile_seconds']:.1f}" if "compile_seconds" in measures else ""
    quality = (f"{measures['ratio']:.1f}", f"{measures['psnr_db']:.2f}", f"{measures['max_error']:.0f}")
    return (name, *quality, *seconds, compiling)
