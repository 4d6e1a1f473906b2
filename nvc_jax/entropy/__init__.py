"""Entropy coding: integers to bits and back, on the device.

Two coders take volumes of integers: ``lorenzo`` dense ones, ``sparse_integers`` mostly zero ones. Both
rearrange integers on the host and code them by ``adaptive_geometric``. ``label_volumes`` takes masks and
other volumes of few labels: read ``intervals``, ``label_contexts``, ``label_walk`` and ``label_coding``
before it. The codecs of the packages above code their coefficients and latents by the same lower modules.

Read from the bottom: ``tokens`` (integers as symbols and extra bits), ``frequency_tables`` (probabilities of
tokens), ``word_stack``, ``joined_stacks``, ``word_stream`` and ``rans`` (one step of the coder),
``tile_rans`` and ``tile_pop`` (many steps at once, on TPUs), ``interleaving`` (division of a stream among
lanes), ``passes`` (many items whose tables are known), ``delta_prediction``; then
``geometric_distributions``, ``geometric_adaptation``, ``adaptive_geometric``, ``lorenzo`` and
``sparse_integers``. ``native_streams``, ``native_geometric``, ``native_sparse`` and ``native_labels`` call
the kernels that do the same on CPUs.
Names are imported from these modules.

The package knows integers, tables and words. It may know no transform, no model and no container.
"""
