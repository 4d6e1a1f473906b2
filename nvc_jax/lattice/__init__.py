"""Lattice coder: integers of a volume by interpolation from coarse to fine, exactly or within a bound.

It suits volumes with hard edges, few levels, plateaus or noise, for which a transform takes more bytes. A
volume is predicted from its already decoded neighbours, all points of a pass at once. Read it in this order:
``geometry`` divides the volume into levels and phases; ``prediction`` predicts a phase and computes the
contexts of its codes; ``walk`` does so level by level; ``weights`` and ``tables`` are the parameters that the
encoder fits to a chunk; ``table_sharing`` tells which contexts share a table. ``plan`` fits the weights
(``weight_fit``) to ``samples`` of the points, from which ``estimate`` also tells about how many bits a stream
will take, and a ``trial`` of the coarse levels tells more of that. ``programs`` holds the compiled programs,
and ``native_programs`` calls the kernels that do the same on CPUs; ``items`` collects what is coded;
``stream`` puts a stream together and takes it apart; ``values`` maps values under a bound to fixed point, for
float32 by the kernels of ``native_values``.

Everything that a decoder computes is in integers, so a stream decodes to the same values on every device.
Nothing here knows of chunks or of missing values: the caller fills gaps.
"""
