"""Quality targets of the variables of a data set."""

from collections.abc import Mapping, Sequence
from typing import Any

Targets = dict[str, Any]
"""Options of ``nvc_jax.compress`` for one variable."""


def split_targets(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Targets]:
    """Give each variable its own target.

    Args:
        options: targets by the names of the arguments of ``nvc_jax.compress``. Each is a value for all
            variables or a mapping from names of variables to values; None, or False, if it is not given.
        names: of the variables that are compressed.

    Returns:
        The options of each variable. Where a mapping was given, variables without a target are lossless.

    Raises:
        ValueError: a mapping names something that is no variable, or there is no variable.
    """
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    for option, value in given.items():
        unknown = sorted(set(value) - set(names)) if isinstance(value, Mapping) else []
        if unknown:
            raise ValueError(
                f"`{option}` names {', '.join(map(repr, unknown))}; the variables that can be compressed are "
                f"{', '.join(names)}"
            )
    has_mapping = any(isinstance(value, Mapping) for value in given.values())
    targets = {name: _targets_of(name, given) for name in names}
    return {name: own or ({"lossless": True} if has_mapping else {}) for name, own in targets.items()}


def _targets_of(name: str, given: Mapping[str, Any]) -> Targets:
    """Return the options of one variable; those that name it come before those for all."""
    named = {
        option: value[name] for option, value in given.items() if isinstance(value, Mapping) and name in value
    }
    return named or {option: value for option, value in given.items() if not isinstance(value, Mapping)}
