"""Arguments that several commands take, and their texts turned into values."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nvc_jax import __version__
from nvc_jax.core.choices import MODES
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.json_documents import read_json
from nvc_jax.core.shapes import MAX_RANK, MIN_RANK, Shape

Commands = Any
"""Result of ``argparse.ArgumentParser.add_subparsers``; argparse has no public name for its type."""

_NEGATIVE = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)
"""Begin of a negative number, or of several."""

_QUALITY_TARGETS = ("max_error", "relative_error", "pointwise_error", "psnr", "step", "lossless")
"""Options of ``nvc compress`` that name a quality target."""

VOLUME_HELP = (
    "file (.npy, .nii.gz, .tif, .nc, .h5, …), folder of slices, Zarr store, URL, "
    "or JSON of a TensorStore spec"
)
CONTAINER_HELP = "container: a directory, a .zip file, a URL, or JSON of a TensorStore spec"


def add_parser(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], None],
    summary: str,
    examples: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Add a command to the parser of ``nvc``, which adds the options that all commands take.

    Args:
        commands: those of the parser.
        name: of the command.
        run: runs it with its options.
        summary: a sentence for the help.
        examples: whole command lines for the end of its help.
    """
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]) if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    command.set_defaults(run=run)
    return command


def add_common(parser: argparse.ArgumentParser, *, default: Any = False) -> None:
    """Add the options that stand before or after the name of any command.

    Args:
        parser: of the program, or of a command.
        default: of ``--json`` and ``--quiet``: False for the program, and for a command none at all, so that
            it leaves what was given before its name.
    """
    group = parser.add_argument_group("options of every command")
    group.add_argument("-h", "--help", action="help", help="print this help")
    group.add_argument("--version", action="version", version=f"nvc {__version__}", help="print the version")
    group.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        default=default,
        help="print no progress and no summary; warnings, errors and asked-for values stay",
    )
    group.add_argument(
        "--json",
        action="store_true",
        default=default,
        help="print the result as one JSON object, and an error as one on standard error",
    )


def join_negative_numbers(arguments: Sequence[str]) -> list[str]:
    """Join options and their values that begin with a minus: argparse takes ``-1e10`` for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and re.fullmatch(r"--[\w-]+", joined[-1]) and _NEGATIVE.match(argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def quality_targets(options: argparse.Namespace) -> dict[str, Any]:
    """Return the quality target that the options of ``nvc compress`` name; empty if they name none."""
    given = {name: getattr(options, name) for name in _QUALITY_TARGETS}
    return {name: value for name, value in given.items() if value is not None and value is not False}


def add_mode(command: argparse.ArgumentParser) -> None:
    """Add the option ``--mode``."""
    command.add_argument("--mode", choices=MODES, default="blend", help="decoded margins (blend)")


def add_overwrite(command: argparse.ArgumentParser) -> None:
    """Add the option ``--overwrite``."""
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the file, or the Zarr array, that lies at the destination",
    )


def add_selection(command: argparse.ArgumentParser) -> None:
    """Add the option ``--select``."""
    command.add_argument(
        "--select",
        metavar="AXIS=PART,...",
        help="part of the volume, such as t=3:9,c=0: axes by name or position; a number drops its axis",
    )


def add_raw_layout(command: argparse.ArgumentParser) -> None:
    """Add the options that state the layout of a raw file of any name."""
    group = command.add_argument_group("raw files", "layout of a raw file, whatever its name is")
    group.add_argument("--shape", type=shape, metavar="Z,Y,X", help="voxels of the volume, along 2 to 5 axes")
    group.add_argument(
        "--dtype", metavar="DTYPE", help="such as float32, of the samples (that of a suffix such as .f32)"
    )
    group.add_argument("--order", choices=("C", "F"), help="C: x varies fastest (default); F: z does")
    group.add_argument("--byte-order", choices=("little", "big"), help="of the samples (little)")


def volume(text: str, options: argparse.Namespace) -> Any:
    """Read the location of a volume, or of a raw file where ``options`` state its layout, or a part of one.

    Raises:
        ValueError: a part of a layout is stated without the shape, or the location is a spec.
    """
    source, parts = _whole_volume(text, options), getattr(options, "select", None)
    if parts is None:
        return source
    from nvc_jax.io.selection import Selection

    return Selection(source, parts)


def _whole_volume(text: str, options: argparse.Namespace) -> Any:
    """Read the location of a volume, all of it."""
    source = location(text)
    layout = {name: getattr(options, name) for name in ("dtype", "order", "byte_order")}
    stated = {name: value for name, value in layout.items() if value is not None}
    if options.shape is None:
        if stated:
            names = ", ".join(f"`--{name.replace('_', '-')}`" for name in stated)
            raise ValueError(f"{names}: the layout of a raw file needs its shape, too; add `--shape Z,Y,X`")
        return source
    if isinstance(source, dict):
        raise ValueError(f"`--shape` is for raw files, and {text} is a spec of TensorStore; name a path")
    from nvc_jax.io.raw import RawFile

    return RawFile(source, options.shape, **stated)


def add_output(
    command: argparse.ArgumentParser, text: str, example: str, *, is_optional: bool = False
) -> None:
    """Add the argument OUT, and take further ones in order to say what is wrong with them.

    Args:
        command: its parser.
        text: help of OUT.
        example: suffix of a name that OUT may have.
        is_optional: whether it may be left out.
    """
    command.add_argument("output", metavar="OUT", help=text, nargs="?" if is_optional else None)
    command.add_argument("further", nargs="*", help=argparse.SUPPRESS)
    command.set_defaults(example=example)


def check_two(options: argparse.Namespace) -> None:
    """Raise ``ValueError`` if a pattern that the shell expanded has become IN, OUT and more.

    Of two files that a pattern named, the second would be OUT; it is told by having the suffix of the first.
    """
    suffix, output = Path(options.input).suffix, Path(options.output)
    is_like_input = suffix == output.suffix and suffix != options.example and output.is_file()
    if not options.further and (options.overwrite or not is_like_input):
        return
    understood = f"IN={options.input} and OUT={options.output}"
    fault = f", and OUT is an existing {suffix} file, which would be replaced"
    if options.further:
        fault = f", and {' '.join(options.further)} besides"
    loop = f'for f in *{suffix}; do nvc {options.command} "$f" "${{f%{suffix}}}{options.example}"; done'
    raise ValueError(
        f"one IN and one OUT are taken at a time; {understood} were given{fault}. For several inputs call it "
        f"in a loop: {loop}"
    )


def shape(text: str) -> Shape:
    """Read ``z,y,x`` in voxels; of volumes with other axes two to five numbers."""
    sides = text.split(",")
    if not MIN_RANK <= len(sides) <= MAX_RANK or not all(side.isdecimal() for side in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be a number for each axis: z,y,x, such as 64,64,64, or {MIN_RANK} to {MAX_RANK} "
            "numbers"
        )
    return tuple(map(int, sides))


def number(text: str) -> float:
    """Read a number; one of int64 or uint64, not all of which float64 holds, stays an integer."""
    try:
        integer = int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number, such as 0.5 or 1e-3") from error
    return integer if abs(integer) < 1 << 64 else float(text)


def limits(text: str) -> tuple[float | None, float | None]:
    """Read ``min,max``; a missing number means no limit."""
    try:
        low, high = (number(part) if part else None for part in text.split(","))
        is_ordered = low is None or high is None or low <= high
    except (ValueError, argparse.ArgumentTypeError):
        is_ordered = False
    if not is_ordered:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be min,max in order, of which one may be missing, such as 0,"
        )
    return low, high


def region(text: str) -> Region:
    """Read ``z0:z1,y0:y1,x0:x1``, two to five axes; a missing number means the end of the axis."""
    parts = [axis.split(":") for axis in text.split(",")]
    is_region = all(len(p) == 2 and all(s == "" or s.isdecimal() for s in p) for p in parts)
    if not MIN_RANK <= len(parts) <= MAX_RANK or not is_region:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be z0:z1,y0:y1,x0:x1, a part for each axis, such as 0:16,:,32:"
        )
    return tuple(slice(*(int(s) if s else None for s in axis)) for axis in parts)


def location(text: str) -> str | dict[str, Any]:
    """Read a path, a URL, or the JSON of a TensorStore spec."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        spec: dict[str, Any] = read_json(text.encode())
    except ValueError as error:
        raise ValueError(f"{text!r} is no JSON of a TensorStore spec: {error}") from error
    return spec
