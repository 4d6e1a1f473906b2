"""Lapped block transform: volumes to coefficients and back, on the device.

A volume is cut into blocks of 8³ voxels. A filter joins blocks across their borders, a DCT of each block
gives its coefficients, and 2 × 2 × 2 blocks may be joined to one of 16³.

Read ``planar_blocks`` (the data structure and its arithmetic), ``dct``, ``block_layout`` and ``plan``
(descriptions of a grid of blocks), ``lapped_filter`` and ``lapped`` (the transform itself), ``block_modes``
(from modes to a plan), then ``partial_blocks``, ``boundary_emphasis`` and ``error_weights`` (ends of volumes
and chunks). Names are imported from these modules.

The package knows volumes in float32 and their blocks. It may know no quantiser, no entropy coder and no file.
"""
