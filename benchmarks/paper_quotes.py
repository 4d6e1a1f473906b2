"""Tables and sentences about the paper's models, each made of one file of ``results/`` for ``tables.py``."""

from typing import Any

from quotes import Results, paragraph, table

NAMES = ("quality", "latents", "precision", "speed", "training", "open_questions", "open_answers")
"""Functions that make a quote."""
PUBLISHED = {"zero-margin": (2, 0.00113), "two-wide-margin": (2, 0.00168), "more-parameters": (4, 0.0011)}
"""Bits per voxel of a model, and the mean squared error of the published weights on the same volumes."""


def quality(results: Results) -> str:
    rows = []
    for key, mean in results("quality")["mean"].items():
        variant, split, mode = key.split()
        if split == "test":
            n_bits, mse = PUBLISHED[variant]
            theirs = f"{mse:.5f}" if mode == "crop" else ""
            rows.append([f"{variant}, {mode}", str(n_bits), f"{mean['mse']:.5f}", theirs])
            rows[-1].append(f"{mean['border_ratio']:.2f}")
    return table(["model, margins", "bits/voxel", "MSE", "published weights", "border"], rows)


def latents(results: Results) -> str:
    return table(["mean PSNR, bits/voxel", "step 0.1", "step 0.4", "step 0.8"], results("latents")["rows"])


def loss(decibels: float) -> str:
    """Write a loss of PSNR, a gain with its sign, and 0 without one."""
    return f"{round(decibels, 3) + 0.0:.3f}"


def precision(results: Results) -> str:
    summaries = results("precision")["summary"]
    names = list(next(iter(summaries.values())))[1:]
    rows = [
        [
            name,
            *(
                f"{loss(of[name]['mean_loss_db'])} / {loss(of[name]['largest_loss_db'])} dB, "
                f"{of[name]['largest_difference']:.4f}"
                for of in summaries.values()
            ),
        ]
        for name in names
    ]
    return table(["products", *summaries], rows)


def as_time(call: dict[str, float] | None) -> str:
    """Write seconds and, in brackets, their multiple of what the matrix products alone take."""
    if call is None:
        return ""
    bound = f" ({call['over_bound']:.2f}×)" if "over_bound" in call else ""
    return f"{call['seconds']:.3f}{bound}"


def speed(results: Results) -> str:
    runs = results("speed")["runs"]
    rows = [
        [
            "×".join(map(str, run["shape"])),
            run["variant"],
            *(as_time(run.get(call)) for call in ("encode", "decode_crop", "decode_blend")),
            " / ".join(f"{run['paper_seconds'][way]:.2f}" for way in ("encode", "decode")),
        ]
        for run in runs
    ]
    largest = max(runs, key=lambda run: run["volume_bytes"])
    header = ["size", "model", "encode", "decode, crop", "decode, blend", "paper, encode / decode"]
    most = max(run["peak_memory_bytes"] for run in runs if run["shape"] == largest["shape"])
    memory = paragraph(
        f"The largest volume takes {most / 1e9:.1f} GB of memory, the interpreter, JAX and the volume of",
        f"{largest['volume_bytes'] / 1e9:.2f} GB included.",
    )
    return f"{table(header, rows)}\n{memory}"


def training(results: Results) -> str:
    run = results("training")["runs"][0]
    visited, possible = (f"{run[name]:,.0f}" for name in ("blocks_per_second", "bound_blocks_per_second"))
    return paragraph(
        f"Training in the paper's setting (zero-margin, batch of {run['batch_size']}) visits {visited}",
        f"blocks/s; its matrix products alone would allow {possible}.",
        "The paper's 8 epochs over 1.7 million blocks take",
        f"{run['paper_minutes']:.1f} minutes.",
    )


def mode_of(question: str, run: dict[str, Any]) -> str:
    """Name the use of margins that a question is about."""
    return "blend" if "blended" in question and run["model"]["margin"] else "crop"


def open_questions(results: Results) -> str:
    measured = results("open-questions")
    rows = []
    for question, values in measured["questions"].items():
        cells = []
        for value, name in values.items():
            run = measured["runs"][name]
            mode = mode_of(question, run)
            times = "/".join(f"{run['speed'][way]['time_ratio']:.1f}" for way in ("encode", f"decode_{mode}"))
            cells.append(f"{value}: {run['quality'][mode]['psnr_db']:.1f} dB, {times}")
        rows.append([question, *cells, *[""] * (5 - len(cells))])
    return table(["varied", "value: PSNR, times", "", "", "", ""], rows)


def open_answers(results: Results) -> str:
    runs = results("open-questions")["runs"]
    borders = [runs["baseline"]["quality"]["crop"]["border_ratio"]]
    borders += [runs[f"margin {n}"]["quality"]["blend"]["border_ratio"] for n in (1, 2)]
    networks = [runs[f"convolutional {sizes}"] for sizes in ("16-32", "32-64")]
    gains = [
        run["quality"]["crop"]["psnr_db"] - runs["baseline"]["quality"]["crop"]["psnr_db"] for run in networks
    ]
    times = [run["speed"][way]["time_ratio"] for run in networks for way in ("encode", "decode_crop")]
    return paragraph(
        "One or two voxels of margin, blended, take the border measure from",
        f"{borders[0]:.2f} to {borders[1]:.2f} and {borders[2]:.2f}. Convolutions change the PSNR by",
        f"{min(gains):+.1f} to {max(gains):+.1f} dB for {min(times):.0f} to {max(times):.0f} times",
        "the CPU's time.",
    )
