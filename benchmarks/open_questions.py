"""The paper's open questions (section 5): block sizes, margins, latents, dense or convolutional networks.

One factor at a time varies around the paper's zero-margin model. Every model sees the same number of voxels
of split ``train``, without margins, in the same number of steps: a batch holds the same number of voxels, and
thus eight times as many blocks of 4³ as of 8³. (In equal times slow networks would see fewer voxels, on some
machines.) The recipe and schedule are those of the shipped models, but with 4800 steps for their 115,000 to
253,000. Compare the models with each other, not with the shipped ones: large networks would gain most from
more steps. Hidden layers have 4 times as many units as there are latents, as in the paper's Table 1, and at
least its 128. The learning rate falls inversely with the units above the shipped models' 256, because the
widest network learns nothing at the full rate. Block sizes are compared at equal bits.

Quality is that of whole volumes of split ``test``, each scaled to [0, 1] by its finite range. PSNR is the
mean over volumes. ``stored_bits_per_voxel`` counts the blocks' parts outside the volumes too. Speed is that
of compiled calls on a 256³ uint8 volume in memory: the median, measured in turns with the baseline.
``time_ratio`` is relative to the baseline. On a busy machine trust the ratios, not ``mb_per_second`` and
``training_seconds``.

    pip install ".[plot]"
    python benchmarks/open_questions.py VOLUMES     # a directory with INDEX.csv; without it: the figure only
    python benchmarks/open_questions.py VOLUMES --resume     # keeps the results of this machine
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import quality
from common import RESULTS, machine, table, unit_volume, volumes, write_results
from speed import seconds

import nvc_jax
from nvc_jax.autoencoder.config import ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.networks import init_params
from nvc_jax.autoencoder.training.block_regions import BlockRegions
from nvc_jax.autoencoder.training.blocks import BlockArray, load_blocks
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.autoencoder.training.loop import train_blocks
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.io.volumes import read_volume
from nvc_jax.training.progress import RunOptions

BASELINE = DenseConfig()
CONFIGURATIONS: dict[str, ModelConfig] = {
    "baseline": BASELINE,
    "8 latents": DenseConfig(latent_dim=8),
    "16 latents": DenseConfig(latent_dim=16),
    "64 latents": DenseConfig(latent_dim=64, hidden_sizes=(256,)),
    "128 latents": DenseConfig(latent_dim=128, hidden_sizes=(512,)),
    "4³, 1 latent": DenseConfig(block_size=4, latent_dim=1),
    "4³, 4 latents": DenseConfig(block_size=4, latent_dim=4),
    "16³, 64 latents": DenseConfig(block_size=16, latent_dim=64, hidden_sizes=(256,)),
    "16³, 256 latents": DenseConfig(block_size=16, latent_dim=256, hidden_sizes=(1024,)),
    "margin 1": DenseConfig(margin=1),
    "margin 2": DenseConfig(margin=2),
    "margin 4": DenseConfig(margin=4),
    "convolutional 16-32": ConvolutionalConfig(channels=(16, 32)),
    "convolutional 32-64": ConvolutionalConfig(channels=(32, 64)),
}
MARGINS = {"0": "baseline", "1": "margin 1", "2": "margin 2", "4": "margin 4"}
QUESTIONS = {
    "latents: 0.5, 1, 2, 4, 8 bits/voxel": {
        "8": "8 latents",
        "16": "16 latents",
        "32": "baseline",
        "64": "64 latents",
        "128": "128 latents",
    },
    "block size, 0.5 bits/voxel": {"4": "4³, 1 latent", "8": "8 latents", "16": "16³, 64 latents"},
    "block size, 2 bits/voxel": {"4": "4³, 4 latents", "8": "baseline", "16": "16³, 256 latents"},
    "margin, cropped": MARGINS,
    "margin, blended": MARGINS,
    "network, 2 bits/voxel": {
        "dense": "baseline",
        "conv. 16-32": "convolutional 16-32",
        "conv. 32-64": "convolutional 32-64",
    },
}
"""Rows of the table of answers: the factor that varies, and for each of its values a configuration."""

BLOCKS_PER_VOLUME = 2500
"""Blocks of 8³ drawn from each volume; for other block sizes, as many as have the same number of voxels."""

STEPS_PER_EPOCH = 320
BATCH_VOXELS = 256 * BASELINE.block_size**3
SIDE = 256
"""Side of the volume on which speed is measured, in voxels."""

REPEATS = 7
"""Calls of which the median is taken."""


def training_config(model: ModelConfig, epochs: int) -> AutoencoderTraining:
    """Make the shipped models' recipe with fewer steps and the same number of voxels in every batch."""
    width = max(model.hidden_sizes) if isinstance(model, DenseConfig) else 0
    return AutoencoderTraining(
        model,
        epochs=epochs,
        batch_size=BATCH_VOXELS // model.block_size**3,
        learning_rate=0.002 * min(1, 256 / max(width, 1)),
        schedule="cosine",
        sample_latents=False,
        loss_window="blend",
        blocks_per_volume=BLOCKS_PER_VOLUME * BASELINE.block_size**3 // model.block_size**3,
        augment=True,
    )


def training_blocks(sources: list[np.ndarray], config: AutoencoderTraining) -> BlockArray:
    """Draw blocks at random positions and drop empty ones; all block sizes keep the same number of voxels."""
    regions = BlockRegions(
        sources, config.model, key=jax.random.key(0), blocks_per_volume=config.blocks_per_volume
    )
    drawn = load_blocks(regions)
    count = STEPS_PER_EPOCH * config.batch_size
    if len(drawn) < count:
        raise ValueError(f"{len(drawn)} blocks are not empty; training takes {count}")
    kept = np.random.default_rng(0).permutation(len(drawn))[:count]
    return BlockArray(drawn[kept], regions.sources)


def measure_quality(codec: nvc_jax.Codec, tests: dict[str, Path]) -> dict[str, Any]:
    """Measure the means over all volumes for each mode, and every volume's mean squared error."""
    modes = ("crop", "blend") if codec.config.margin else ("crop",)
    measured: dict[str, dict[str, dict[str, float]]] = {mode: {} for mode in modes}
    for name, path in tests.items():
        volume, finite = unit_volume(path)
        for mode in modes:
            measured[mode][name] = quality.measure(codec, volume, finite, mode)
    return {
        mode: {
            "mse": float(np.mean([m["mse"] for m in by_volume.values()])),
            "psnr_db": float(np.mean([-10 * math.log10(m["mse"]) for m in by_volume.values()])),
            "border_ratio": float(np.mean([m["border_ratio"] for m in by_volume.values()])),
            "mse_of_volumes": {name: m["mse"] for name, m in by_volume.items()},
        }
        for mode, by_volume in measured.items()
    }


def measure_speed(codec: nvc_jax.Codec, volume: jax.Array) -> dict[str, dict[str, float]]:
    """Measure seconds, the baseline's seconds in turns, their ratio, and the volume's MB per second."""
    baseline = nvc_jax.Codec(BASELINE, init_params(BASELINE, key=jax.random.key(0)))

    def encode(codec: nvc_jax.Codec) -> Callable[[], Any]:
        return lambda: nvc_jax.encode_volume(codec, volume)

    def decode(codec: nvc_jax.Codec, mode: str) -> Callable[[], Any]:
        encoded = nvc_jax.encode_volume(codec, volume)
        return lambda: nvc_jax.decode_volume(codec, encoded, mode=mode)

    pairs = {"encode": (encode(codec), encode(baseline))}
    for mode in ("crop", "blend") if codec.config.margin else ("crop",):
        pairs[f"decode_{mode}"] = (decode(codec, mode), decode(baseline, "crop"))
    measured = {}
    for name, (run, baseline_run) in pairs.items():
        took = seconds({"seconds": run, "baseline_seconds": baseline_run}, REPEATS)
        measured[name] = took | {
            "time_ratio": took["seconds"] / took["baseline_seconds"],
            "mb_per_second": volume.nbytes / took["seconds"] / 1e6,
        }
    return measured


def measure(
    config: AutoencoderTraining, sources: list[np.ndarray], tests: dict[str, Path], timed: jax.Array
) -> dict[str, Any]:
    """Train and measure one configuration."""
    batches = training_blocks(sources, config)
    began = time.perf_counter()
    trained = train_blocks(config, batches, RunOptions(), key=jax.random.key(1))
    took = time.perf_counter() - began
    model = config.model
    codec = nvc_jax.Codec(model, trained.params)
    shapes = [check_shape(tuple(map(int, name.split("_")[-2].split("x")))) for name in tests]
    stored = [
        32 * model.latent_dim * math.prod(grid_shape(shape, model.block_size)) / math.prod(shape)
        for shape in shapes
    ]
    return {
        "model": json.loads(json.dumps(model.to_dict())),
        "batch_size": config.batch_size,
        "learning_rate": config.learning_rate,
        "steps": trained.history[-1].step,
        "training_seconds": took,
        "last_loss": trained.history[-1].loss,
        "bits_per_voxel": 32 * model.latent_dim / model.block_size**3,
        "stored_bits_per_voxel": float(np.mean(stored)),
        "quality": measure_quality(codec, tests),
        "speed": measure_speed(codec, timed),
    }


def answers(runs: dict[str, Any]) -> list[list[str]]:
    """Make the rows of the table: PSNR, and time to encode and decode relative to the baseline."""
    rows = []
    for question, values in QUESTIONS.items():
        cells = []
        for label, name in values.items():
            run = runs[name]
            mode = "blend" if "blended" in question and "blend" in run["quality"] else "crop"
            ratios = (run["speed"][call]["time_ratio"] for call in ("encode", f"decode_{mode}"))
            cells.append(
                f"{label}: {run['quality'][mode]['psnr_db']:.1f} dB, {'/'.join(f'{r:.1f}' for r in ratios)}"
            )
        rows.append([question, *cells, *[""] * (5 - len(cells))])
    return rows


def every_run(runs: dict[str, Any]) -> str:
    """Format all measurements of each configuration as a table."""
    header = ["configuration", "mode", "bits/voxel", "stored", "MSE", "PSNR dB", "border", "enc ×", "dec ×"]
    rows = []
    for name, run in runs.items():
        for mode, measured in run["quality"].items():
            calls = run["speed"]["encode"], run["speed"][f"decode_{mode}"]
            bits = (run["bits_per_voxel"], run["stored_bits_per_voxel"])
            cells = [name, mode, *(f"{value:.2f}" for value in bits), f"{measured['mse']:.6f}"]
            cells += [f"{measured['psnr_db']:.2f}", f"{measured['border_ratio']:.2f}"]
            cells += [f"{call['time_ratio']:.2f}" for call in calls]
            rows.append([*cells, *(f"{call['mb_per_second']:.0f}" for call in calls)])
        rows[-1].append(f"{run['training_seconds']:.0f}")
    return table([*header, "enc MB/s", "dec MB/s", "training s"], rows)


def separate_labels(heights: list[float], gap: float) -> list[float]:
    """Find heights for labels near ``heights``, in the same order and at least ``gap`` apart."""
    order = np.argsort(heights)
    moved = np.array(heights)[order]
    for _ in range(500):
        shortfall = gap - np.diff(moved)
        if (shortfall <= 1e-9).all():
            break
        push = np.maximum(shortfall, 0) / 2
        moved[:-1] -= push
        moved[1:] += push
    labels = np.empty_like(moved)
    labels[order] = moved
    return labels.tolist()


def plot(runs: dict[str, Any]) -> None:
    """Plot PSNR over bits per voxel, and over time at the baseline's bits; margins are blended."""
    from matplotlib.figure import Figure

    colours = {"baseline": "black", "latents": "C0", "4³": "C1", "16³": "C2", "margin": "C3", "conv": "C4"}
    figure = Figure(figsize=(11, 5), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    points = {}
    for name, run in runs.items():
        mode = "blend" if "blend" in run["quality"] else "crop"
        calls = ("encode", f"decode_{mode}")
        took = sum(run["speed"][call]["seconds"] for call in calls)
        baseline = sum(run["speed"][call]["baseline_seconds"] for call in calls)
        colour = next(c for kind, c in reversed(colours.items()) if kind in name)
        points[name] = (run["bits_per_voxel"], took / baseline, run["quality"][mode]["psnr_db"], colour)
    curves = {
        "C0": ("8 latents", "16 latents", "baseline", "64 latents", "128 latents"),
        "C1": ("4³, 1 latent", "4³, 4 latents"),
        "C2": ("16³, 64 latents", "16³, 256 latents"),
    }
    for colour, names in curves.items():
        left.plot(*zip(*((points[n][0], points[n][2]) for n in names), strict=True), color=colour, alpha=0.4)
    decibels = [psnr for *_, psnr, _ in points.values()]
    low, high = min(decibels) - 1, max(decibels) + 1
    for bits in sorted({point[0] for point in points.values()}):
        at_bits = {name: (b, psnr, c) for name, (b, _, psnr, c) in points.items() if b == bits}
        label_points(left, at_bits, (high - low) * 0.036, 1.12)
    same = {n: (t, psnr, c) for n, (b, t, psnr, c) in points.items() if b == points["baseline"][0]}
    heights = [psnr for _, psnr, _ in same.values()]
    span = max(heights) - min(heights)
    label_points(right, same, span * 0.05, 1.12)
    left.set(xscale="log", xlim=(0.42, 15), ylim=(low, high), xlabel="bits per voxel, float32 latents")
    left.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    right.set(xscale="log", xlabel="time to encode and decode over the baseline's")
    times = [t for t, *_ in same.values()]
    right.set(
        xlim=(min(times) / 1.3, max(times) * 6), ylim=(min(heights) - span / 6, max(heights) + span / 6)
    )
    ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100) if t <= max(times) * 1.5]
    right.set_xticks(ticks, [f"{t:g}" for t in ticks])
    right.set_title("2 bits per voxel: quality against time", fontsize=10)
    left.set_title("quality against rate; mean over unseen volumes, margins blended", fontsize=10)
    for axis in (left, right):
        axis.minorticks_off()
        axis.set_ylabel("PSNR (dB)")
        axis.grid(alpha=0.3)
    figure.savefig(RESULTS / "open-questions.png")


def label_points(axis: Any, points: dict[str, tuple[float, float, str]], gap: float, right: float) -> None:
    """Draw points (x, y, colour) with their names to the right, at heights where the names do not touch."""
    heights = separate_labels([y for _, y, _ in points.values()], gap)
    for (name, (x, y, colour)), height in zip(points.items(), heights, strict=True):
        axis.plot(x, y, "o", color=colour, markersize=5)
        line = {"arrowstyle": "-", "color": colour, "alpha": 0.4, "linewidth": 0.7, "shrinkA": 0}
        style = {"xytext": (x * right, height), "va": "center", "fontsize": 8, "color": colour}
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
        axis.annotate(name, (x, y), arrowprops=line, **style)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path, nargs="?")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    path = RESULTS / "open-questions.json"
    if options.volumes is None:
        plot(json.loads(path.read_text())["runs"])
        return
    directory, epochs = options.volumes, options.epochs
    rows = volumes(directory, "train")
    sources = [read_volume(directory / row["file"]) for row in rows.values()]
    tests = {name: directory / row["file"] for name, row in volumes(directory, "test").items()}
    sample = read_volume(SAMPLE)
    timed = jnp.asarray(np.tile(sample, [-(-SIDE // side) for side in sample.shape])[:SIDE, :SIDE, :SIDE])
    settings = training_config(BASELINE, epochs).to_dict()
    for name in ("model", "batch_size", "learning_rate", "blocks_per_volume", "steps_per_dispatch"):
        del settings[name]  # they differ between runs, or change no result
    settings |= {
        "voxels_per_step": BATCH_VOXELS,
        "voxels_seen": epochs * STEPS_PER_EPOCH * BATCH_VOXELS,
        "voxels_drawn_per_volume": BLOCKS_PER_VOLUME * BASELINE.block_size**3,
        "volumes": sorted(rows),
    }
    kept = json.loads(path.read_text()) if options.resume and path.exists() else {}
    if (kept.get("machine"), kept.get("training")) != (machine(), settings):
        kept = {}
    runs: dict[str, Any] = {}
    for name, model in CONFIGURATIONS.items():
        run = kept.get("runs", {}).get(name)
        if run is None or run["model"] != json.loads(json.dumps(model.to_dict())):
            run = measure(training_config(model, epochs), sources, tests, timed)
        runs[name] = run
        print(every_run({name: run}).splitlines()[-1], flush=True)
        header = {"questions": QUESTIONS, "training": settings}
        speed = {"shape": timed.shape, "dtype": str(timed.dtype), "repeats": REPEATS}
        write_results("open-questions", {**header, "timing": speed, "runs": runs})
    print(every_run(runs), table(["varied", *[""] * 5], answers(runs)), sep="\n\n")
    plot(runs)


if __name__ == "__main__":
    main()
