"""Shapes of volumes and of the block grids that cover them."""

import math

Shape = tuple[int, ...]
"""Lengths along the axes of an array."""
Shape3 = tuple[int, int, int]
"""Lengths along z, y and x."""
MIN_RANK, MAX_RANK = 2, 5
"""Fewest and most axes of arrays in files and containers."""


def check_shape(shape: tuple[int, ...], name: str = "volume") -> Shape3:
    """Check that a shape has three positive sides.

    Args:
        shape: of an argument.
        name: of the argument, for the error message.

    Returns:
        The shape, as three Python integers.

    Raises:
        ValueError: it has not.
    """
    if len(shape) != 3:
        step = "take one volume of it, such as `volume[0]`" if len(shape) > 3 else "add axes of length 1"
        raise ValueError(f"`{name}` has shape {tuple(shape)}; it must have three axes (z, y, x): {step}")
    if 0 in shape:
        raise ValueError(
            f"`{name}` has shape {tuple(shape)}; no side may be empty: every axis takes a voxel or more"
        )
    depth, height, width = (int(side) for side in shape)
    return depth, height, width


def check_array_shape(shape: tuple[int, ...], name: str = "volume") -> Shape:
    """Check that a shape has two to five positive sides.

    Args:
        shape: of an argument.
        name: of the argument, for the error message.

    Returns:
        The shape, as Python integers.

    Raises:
        ValueError: it has not.
    """
    if not MIN_RANK <= len(shape) <= MAX_RANK:
        step = "take a part of it, such as `volume[0]`" if len(shape) > MAX_RANK else "add axes of length 1"
        raise ValueError(
            f"`{name}` has shape {tuple(shape)}; it must have {MIN_RANK} to {MAX_RANK} axes: {step}"
        )
    if 0 in shape:
        raise ValueError(
            f"`{name}` has shape {tuple(shape)}; no side may be empty: every axis takes a voxel or more"
        )
    return tuple(int(side) for side in shape)


def default_names(rank: int) -> tuple[str, ...]:
    """Return names of axes that have none: the last are z, y and x, and any before them are numbered."""
    n_before = max(rank - 3, 0)
    return (*(f"dim_{axis}" for axis in range(n_before)), *("z", "y", "x")[n_before + 3 - rank :])


def grid_shape(shape: Shape3, block_size: int) -> Shape3:
    """Number of blocks along z, y and x that cover a volume of ``shape`` voxels."""
    depth, height, width = (math.ceil(side / block_size) for side in shape)
    return depth, height, width


def check_geometry(block_size: int, margin: int) -> None:
    """Raise ``ValueError`` unless ``block_size`` ≥ 1 and 0 ≤ ``margin`` ≤ ``block_size``."""
    if block_size < 1:
        raise ValueError(f"`block_size` (={block_size}) must be at least 1")
    if not 0 <= margin <= block_size:
        raise ValueError(f"`margin` (={margin}) must lie between 0 and `block_size` (={block_size})")
