"""Model cards."""

from collections.abc import Mapping
from typing import Any

from nvc_jax.core.model import ModelConfig


def model_card(
    name: str,
    config: ModelConfig,
    training: Mapping[str, Any],
    volumes: Mapping[str, str],
    scores: Mapping[str, str],
) -> str:
    """Write the text of a model card (Markdown).

    Args:
        name: of the model.
        config: its configuration.
        training: settings and results of the training.
        volumes: the training volumes' licences by name.
        scores: measured values by the name of the measure.
    """

    def table(head: str, rows: Mapping[str, Any]) -> str:
        return "\n".join([head, "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])

    return "\n\n".join(
        [
            f"# {name}",
            table("| model | |", config.to_dict()),
            table("| training | |", training),
            table("| score | |", scores),
            "## Training volumes",
            table("| volume | licence |", volumes) + "\n",
        ]
    )
