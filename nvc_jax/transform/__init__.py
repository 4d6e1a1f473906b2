"""Lapped block transform: volumes to coefficients and back, on the device.

A volume is cut into blocks of 8³ voxels. A filter joins blocks across their borders, a DCT of each block
gives its coefficients, and 2 × 2 × 2 blocks may be joined to one of 16³.

Read ``block_dct`` (the data structure and its arithmetic), ``block_layout`` and ``plan`` (descriptions of a
grid of blocks), ``lapped_filter`` and ``lapped`` (the transform itself), ``block_modes`` (from modes to a
plan), then ``partial_blocks``, ``boundary_emphasis`` and ``error_weights`` (ends of volumes and chunks).

The package knows volumes in float32 and their blocks. It may know no quantiser, no entropy coder and no file.
"""

from nvc_jax.transform.block_dct import BLOCK_SIZE, N_COEFFICIENTS
from nvc_jax.transform.block_layout import BlockLayout, make_layout
from nvc_jax.transform.block_modes import (
    LAPPED,
    LARGE,
    N_FILTER_MODES,
    N_MODES,
    PLAIN,
    expand_to_blocks,
    filter_mode_index,
    is_complete,
    make_plan,
    sum_over_superblocks,
    superblock_grid,
    uniform_plan,
)
from nvc_jax.transform.boundary_emphasis import ALL_BOUNDARIES, deemphasize, emphasize
from nvc_jax.transform.error_weights import error_weights
from nvc_jax.transform.lapped import dc_norms, forward, inverse, map_coefficients
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.partial_blocks import frequencies_by_partial_type, stretch, unstretch
from nvc_jax.transform.plan import TransformPlan

__all__ = [
    "ALL_BOUNDARIES",
    "BLOCK_SIZE",
    "FILTERS",
    "LAPPED",
    "LARGE",
    "N_COEFFICIENTS",
    "N_FILTER_MODES",
    "N_MODES",
    "PLAIN",
    "BlockLayout",
    "TransformPlan",
    "dc_norms",
    "deemphasize",
    "emphasize",
    "error_weights",
    "expand_to_blocks",
    "filter_mode_index",
    "forward",
    "frequencies_by_partial_type",
    "inverse",
    "is_complete",
    "make_layout",
    "make_plan",
    "map_coefficients",
    "stretch",
    "sum_over_superblocks",
    "superblock_grid",
    "uniform_plan",
    "unstretch",
]
