"""Native kernels: loops that XLA makes slow programs of on CPUs, in C++.

Each kernel has a ``jax.numpy`` form beside it, which is its specification: both return the same arrays, bit
for bit. ``dispatch.on_cpu`` lets CPUs run the kernel and other devices the ``jax.numpy`` form, within one
program. ``library`` finds the kernels; without them the ``jax.numpy`` forms run on CPUs, too.
``idle_cores`` tells kernels which cores others use: the rest help them.
``rows`` takes those of several arrays at once, and ``unset_arrays`` makes some that nobody reads.
``host_kernels`` calls kernels that work on NumPy's arrays outside of compiled programs; their specification
is in Python: of ``float_errors``, errors of decoded values; of ``value_counts``, values at both ends of a
range, with a checksum; of ``valid_range``, valid values and their range; of ``filling``, values in gaps;
of ``exact_values``, values that many voxels have; of ``sampled_values``, those of a sample; and of
``checksums``.

Kernels of GPUs, which are written in Python (see ``core.group_kernels``), are one more form for ``dispatch``.
"""
