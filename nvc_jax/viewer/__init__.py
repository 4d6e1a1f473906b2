"""``nvc view``: a local page that shows volumes slice by slice and decodes only what it shows.

Read ``volumes`` first: a container, or any volume that ``io`` reads, with its axes and its levels. ``slices``
reads one slice of a volume, or of the difference of two, reduced to what a screen shows; ``reduction`` makes
pixels of voxels, ``slice_bytes`` turns a slice into the bytes that the page reads, and ``slice_cache`` keeps
some of them. ``queries`` checks what the page asks for, ``application`` answers it over HTTP, and ``server``
runs that on the loopback interface until it is told to end. ``page`` is a folder: HTML, CSS and JavaScript
modules, served as they are.

The package needs the extra ``view``; only ``application`` and ``server`` import it. It knows nothing of the
command line, and writes no files.
"""
