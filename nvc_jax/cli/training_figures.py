"""Pictures of a training run: its learning curve, and slices of volumes beside their reconstructions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nvc_jax.models.training import TrainingResult

LEARNING_CURVE, RECONSTRUCTIONS = "learning-curve.png", "reconstructions.png"
"""Names of the pictures."""
_MOST_VOLUMES = 4
"""Volumes that are drawn, the first ones."""
_LARGEST_SIDE = 128
"""Largest side of the part that is drawn, from the middle of a volume."""


def check_training_figures(directory: Path) -> None:
    """Check before a training that its pictures can be drawn after it.

    Raises:
        FileExistsError: one of the pictures is there already, or ``directory`` is a file.
        ModuleNotFoundError: the extra ``plot`` is not installed.
    """
    from nvc_jax.core.optional_imports import import_extra
    from nvc_jax.io.replaceable import check_replaceable

    import_extra("matplotlib", "plot")
    if not directory.exists():
        return
    if not directory.is_dir():
        raise FileExistsError(f"`--figures` (={directory}) is a file; name a new directory")
    for name in (LEARNING_CURVE, RECONSTRUCTIONS):
        check_replaceable(directory / name, overwrite=False)


def save_training_figures(directory: Path, result: "TrainingResult", volumes: Sequence[Any]) -> None:
    """Draw the pictures of a training into a directory.

    Args:
        directory: of the pictures; created if it does not exist.
        result: of the training.
        volumes: volumes to draw, such as those that were held out.

    Raises:
        FileExistsError: a picture is there already.
        ModuleNotFoundError: the extra ``plot`` is not installed.
    """
    from nvc_jax.evaluation.figures import save_panels
    from nvc_jax.evaluation.learning_curve import save_learning_curve

    directory.mkdir(parents=True, exist_ok=True)
    curves = {
        "training": [(report.step, report.loss) for report in result.history],
        "held out": [
            (report.step, report.validation_loss)
            for report in result.history
            if report.validation_loss is not None
        ],
    }
    shown = {label: points for label, points in curves.items() if points}
    save_learning_curve(directory / LEARNING_CURVE, shown, loss_name=result.config.loss_name)
    originals, decoded, errors = {}, {}, {}
    for number, volume in enumerate(volumes[:_MOST_VOLUMES], 1):
        original, restored = _code_middle(result, volume)
        label = f"volume {number}"
        originals[label], decoded[label] = original, restored
        errors[label] = np.abs(original - restored)
    largest = max(float(np.percentile(error, 99.9)) for error in errors.values())
    save_panels(
        directory / RECONSTRUCTIONS,
        {"original": originals, "decoded": decoded, "error": errors},
        error_rows={"error": largest},
        value_range=(0, 1),
        colour_bars={"original": "share of the range", "decoded": "share of the range", "error": "absolute"},
    )


def _code_middle(result: "TrainingResult", volume: Any) -> tuple[np.ndarray, np.ndarray]:
    """Encode and decode the middle of a volume; the middle slices of both, float32, scaled to its range."""
    from nvc_jax.core.normalization import finite_limits, normalize_wide
    from nvc_jax.io.measurements import open_measurements
    from nvc_jax.models.codec import decode_volume, encode_volume

    store = open_measurements(volume)[0]
    starts = [max(0, (side - _LARGEST_SIDE) // 2) for side in store.shape]
    index = tuple(slice(a, min(a + _LARGEST_SIDE, side)) for a, side in zip(starts, store.shape, strict=True))
    values = store[index].read().result()
    unit = normalize_wide(values, *finite_limits(values))
    encoded = encode_volume(result.codec, unit, step=result.config.shown_step)
    restored = np.asarray(decode_volume(result.codec, encoded))
    return unit[len(unit) // 2], restored[len(unit) // 2]
