"""Tables and sentences about nvc-1 and its peers, each made of one file of ``results/`` for ``tables.py``."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

NAMES = (
    *("lead", "codecs", "bits", "bits_rivals", "held_out", "bounds", "bounds_rivals", "pointwise", "peers"),
    *("peers_order", "domain", "large", "scale", "seams"),
)
"""Functions that make a quote."""
WIDTH = 120
"""Longest line of a paragraph."""
LIBRARIES = ("SPERR", "SZ3", "zfp")
GRID_SPACING = 2.5
"""Distance of the PSNRs at which bits are compared, in dB."""
GUARANTEES = {
    "nvc-1": ("bound: absolute, relative, pointwise; PSNR; lossless", "any chunk; means of 8³ voxels"),
    "SPERR": ("bound: absolute; PSNR; size", "a stream may be cut short"),
    "SZ3": ("bound: absolute, relative; PSNR", "whole streams"),
    "zfp": ("bound: absolute; size; lossless", "4³ voxels at a fixed size"),
    "Blosc2, Zstd (lossless)": ("lossless", "any block of a chunk"),
}
"""Targets that a codec keeps, and what of a volume it decodes alone."""

Results = Callable[[str], dict[str, Any]]
"""Function from the name of a file in ``results/``, without suffix, to its content."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a Markdown table."""
    lines = [list(header), ["---"] * len(header), *map(list, rows)]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def as_ratio(value: float) -> str:
    """Write a ratio with two digits, or with three if it would look like 1 but is not."""
    return f"{value:.2f}" if f"{value:.2f}" != "1.00" or value == 1 else f"{value:.3f}"


def as_list(words: Sequence[str]) -> str:
    """Join words by commas and a last *and*."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def paragraph(*parts: str) -> str:
    """Join parts of a paragraph and break its lines."""
    joined = " ".join(parts)
    return textwrap.fill(joined, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"


def lead(results: Results) -> str:
    measured = results("rate-distortion")
    means = measured["by_kind"]["mean over kinds"]
    kinds = len(measured["by_kind"]) - 2  # the mean and the smallest ratio are no kinds
    ratios = as_list([f"{name} {means[name]:.2f} times" for name in LIBRARIES])
    return paragraph(
        f"On {len(measured['ratio'])} test volumes of {kinds} kinds, none of which the model was fitted on,",
        f"other codecs take more bits than nvc-1 at equal PSNR: {ratios} as many, on the mean over",
        "30 to 60 dB.",
    )


def codecs(results: Results) -> str:
    summary = results("peers")["summary"]
    rows = []
    for name, (kept, access) in GUARANTEES.items():
        near, bound = summary["45 dB"].get(name), summary["bound 1e-3"][name]
        sizes = (f"{near['bits']:.2f}" if near else "", f"{bound['bits']:.2f}")
        speeds = (f"{bound[way]:.0f}" for way in ("encode 1", "decode 1"))
        rows.append([name, *sizes, *speeds, kept, access])
    header = [
        "codec",
        "bits, 45 dB",
        "bits, bound 1e-3",
        "encode MB/s",
        "decode MB/s",
        "keeps",
        "decodes alone",
    ]
    return table(header, rows)


def bits(results: Results) -> str:
    columns = (*LIBRARIES, "JPEG 2000", "block DCT")
    rows = results("rate-distortion")["by_kind"].items()
    return table(
        ["kind", *columns], ([kind, *(f"{ratios[name]:.2f}" for name in columns)] for kind, ratios in rows)
    )


def as_ranges(levels: Sequence[float]) -> str:
    """Write PSNRs of the grid in dB, neighbouring ones as ranges."""
    ranges: list[list[float]] = []
    for level in levels:
        if ranges and level - ranges[-1][-1] <= GRID_SPACING:
            ranges[-1].append(level)
        else:
            ranges.append([level])
    return as_list([f"{r[0]:g} to {r[-1]:g}" if len(r) > 1 else f"{r[0]:g}" for r in ranges])


def bits_rivals(results: Results) -> str:
    measured = results("rate-distortion")
    worse = [
        f"`{volume}` ({name}: {as_ratio(ratios[name])})"
        for volume, ratios in measured["ratio"].items()
        for name in LIBRARIES
        if ratios[name] < 1
    ]
    on_mean = f"all volumes but {as_list(worse)}" if worse else "every volume"
    lines = [
        f"- `{volume}`: {as_list(parts)}\n"
        for volume, at in measured["fewer_bits_at_psnr"].items()
        if (parts := [f"{name} at {as_ranges(at[name])} dB" for name in LIBRARIES if at[name]])
    ]
    opening = paragraph(
        f"On the mean of these PSNRs SPERR, SZ3 and zfp take more bits on {on_mean}.",
        "At some PSNRs one of them takes fewer:",
    )
    return f"{opening}\n{''.join(lines)}"


def held_out(results: Results) -> str:
    measured = results("held-out-kinds")
    of_kind, of_volume = (100 * (max(measured[name].values()) - 1) for name in ("bits", "largest"))
    return paragraph(
        "Without any training volume of its kind, a kind of test volumes takes at most",
        f"{of_kind:.1f} % more bits on the mean, and a single volume at most {of_volume:.1f} %.",
    )


def bounds(results: Results) -> str:
    header = ["relative bound", *LIBRARIES, "Zstandard", "Blosc2", "JPEG XL", "best of them"]
    return table(header, results("bounds")["rows"])


def smaller(ratios: dict[str, dict[str, dict[str, float]]], codec: str) -> dict[str, list[str]]:
    """Find in ratios by bound, volume and codec those below 1 of a codec: by volume, each with its bound."""
    found: dict[str, list[str]] = {}
    for bound, of_volumes in ratios.items():
        for volume, of_codecs in of_volumes.items():
            if of_codecs.get(codec, 1) < 1:
                found.setdefault(volume, []).append(f"{as_ratio(of_codecs[codec])} at {bound}")
    return found


def bounds_rivals(results: Results) -> str:
    ratios = results("bounds")["ratio"]
    bounded = {bound: of for bound, of in ratios.items() if bound != "lossless"}
    lines = [
        f"- {codec} on `{volume}`: {as_list(at)}\n"
        for codec in LIBRARIES
        for volume, at in smaller(bounded, codec).items()
    ]
    lossless = [
        f"- the best of the others, without loss, on `{volume}`: {as_ratio(of['best of them'])}\n"
        for volume, of in ratios["lossless"].items()
        if of["best of them"] < 1
    ]
    return f"Another codec takes fewer bytes, relative to nvc-1's:\n\n{''.join(lines + lossless)}"


def pointwise(results: Results) -> str:
    measured = results("pointwise")
    means = measured["by_kind"]["mean over kinds"]
    worse = [
        f"`{volume}` ({as_ratio(ratio)} at {bound})"
        for volume, ratios in measured["ratio"].items()
        for bound, ratio in ratios.items()
        if ratio < 1
    ]
    ratios = as_list([f"{ratio:.2f}" for ratio in means.values()])
    return paragraph(
        f"Under a pointwise bound SZ3, which gets the logarithms of magnitudes, takes {ratios} times as many",
        f"bytes at {as_list(list(means))}, by the same mean over the float volumes.",
        *([f"It takes fewer on {as_list(worse)}."] if worse else []),
    )


def peers(results: Results) -> str:
    ways = ("encode 1", "encode 2", "decode 1", "decode 2")
    header = ["target", "codec", "bits/voxel"]
    header += [f"{way.split()[0]}, {way[-1]} core{'s' * (way[-1] != '1')}" for way in ways]
    return table(
        header,
        (
            [target, name, f"{values['bits']:.2f}", *(f"{values[way]:.0f}" for way in ways)]
            for target, of in results("peers")["summary"].items()
            for name, values in of.items()
        ),
    )


def peers_order(results: Results) -> str:
    summary = results("peers")["summary"]
    near, bound = summary["45 dB"], summary["bound 1e-3"]
    fewest = sorted(near, key=lambda name: near[name]["bits"])
    fastest = sorted(near, key=lambda name: -near[name]["encode 1"])
    shares = [of["nvc-1"][way] / of["SPERR"][way] for of in (near, bound) for way in ("encode 1", "decode 1")]
    return paragraph(
        f"The means are over {len(results('peers')['volumes'])} volumes.",
        f"Near 45 dB the order is, from few bits to many: {', '.join(fewest)}; from fast encoding to slow:",
        f"{', '.join(fastest)}. On one core nvc-1 encodes at {shares[0]:.2f} times and decodes at",
        f"{shares[1]:.2f} times the speed of SPERR near 45 dB, and at {shares[2]:.2f} and {shares[3]:.2f}",
        "times under the bound.",
    )


def domain(results: Results) -> str:
    names = ("nvc-1", "fitted to the series", "with a filter")
    keys = (
        *("geometric_mean_ratio", "geometric_mean_nvc_1_over_fitted"),
        *("nvc_1_over_fitted_in_one_container", "nvc_1_over_chunks_of_several_steps", "model_bytes"),
    )
    means, gains, together, in_steps, sizes = (results("domain")[key] for key in keys)
    rows = []
    for series, of in means.items():
        fewer, in_one = (
            " and ".join(f"{ratios[series][name]:.2f}" for name in names[1:]) for ratios in (gains, together)
        )
        several = ", ".join(f"{in_steps[series][name]:.2f}" for name in names)
        kilobytes = " and ".join(f"{sizes[series][name] / 1e3:.0f}" for name in names[1:])
        rows.append([series, *(f"{of[name]:.2f}" for name in names), fewer, in_one, several, kilobytes])
    header = ["nvc-1's bits over these", "all in one container", "several steps in a chunk", "model, kB"]
    return table(["series", *names, *header], rows)


def large(results: Results) -> str:
    measured = results("large")["results"]
    rows = [
        [
            f"{run['gib']:g}",
            f"{run['compress']['bytes_per_second'] / 1e6:.0f}",
            f"{run['compress']['steady_bytes_per_second'] / run['encode_volume_bytes_per_second']:.2f}",
            f"{run['compress']['peak_bytes'] / 2**20:.0f}",
            f"{run['decompress']['bytes_per_second'] / 1e6:.0f}",
            f"{run['decompress']['peak_bytes'] / 2**20:.0f}",
            f"{run['random_access']['anywhere_median_seconds'] * 1e3:.0f}",
        ]
        for run in measured
    ]
    first = measured[0]
    header = "GiB, compress MB/s, over `encode_volume`, peak MiB, decompress MB/s, peak MiB, 64³ ms".split(
        ", "
    )
    return (
        f"Here a step of {first['step']:g} makes {first['ratio']:.0f} times fewer bytes, and JAX alone takes "
        f"{first['compress']['baseline_bytes'] / 2**20:.0f} MiB of the peak.\n\n{table(header, rows)}"
    )


def scale(results: Results) -> str:
    header = "side, target, varied, compress s, MB/s after the first chunk, peak MiB, decompress s".split(
        ", "
    )
    return table([*header, "MB/s after the first", "peak MiB"], results("scale")["rows"])


def seams(results: Results) -> str:
    measured = results("seams")
    names = ("jump", "error", "jump_without", "error_without")
    rows = [
        [psnr, *(f"{means[name]:.2f}" for name in names), f"{means['bits']:.3f}"]
        for psnr, means in measured["geometric_mean"].items()
    ]
    header = ["PSNR dB", "jump", "error", "jump without", "error without", "bits"]
    return f"Geometric means over {len(measured['volumes'])} volumes:\n\n{table(header, rows)}"
