"""Native kernels: loops that XLA makes slow programs of on CPUs, in C++.

Each kernel has a ``jax.numpy`` form beside it, which is its specification: both return the same arrays, bit
for bit. ``dispatch.on_cpu`` lets CPUs run the kernel and other devices the ``jax.numpy`` form, within one
program. ``library`` finds the kernels; without them the ``jax.numpy`` forms run on CPUs, too.
``host_kernels`` calls kernels that work on NumPy's arrays outside of compiled programs; their specification
is in Python: of ``float_errors``, errors of decoded values; of ``value_counts``, values at both ends of a
range; and of ``checksums``.

``group_kernels`` runs kernels of GPUs, which are written in Python: a group of lanes is a warp. They take the
steps of the ``jax.numpy`` forms.
"""
