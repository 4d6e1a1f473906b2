"""Separable lapped transform: volumes to coefficients and back, on the device.

Each axis is divided into segments of 8 to 128 voxels. A filter joins segments across their borders, and a
DCT of each segment gives its coefficients. All of that is one matrix an axis. Coefficients are stored in
blocks of 8³, whatever the lengths of segments.

Read ``block_layout`` (the blocks of a volume) and ``segments`` (the division of an axis), then ``dct``,
``lapped_filter`` and ``boundary_emphasis`` (parts of the matrix of an axis), ``axis_transform`` (that matrix
and its factors), and ``separable`` (the transform of a volume). ``native_separable`` calls the kernels that
do the same on CPUs, and ``group_products`` and ``group_separable`` have those that do it on GPUs. Names are
imported from these modules.

The package knows volumes in float32 and their blocks. It may know no quantiser, no entropy coder and no file.
"""
