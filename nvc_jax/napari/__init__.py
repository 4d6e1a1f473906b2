"""The reader of containers for napari: drag a container into the viewer, or ``viewer.open(path)``.

``reader`` makes a lazy layer of a container. The file ``napari.yaml`` is the manifest by which napari finds
it (npe2, entry point ``napari.manifest``).

The package imports neither napari nor Qt; it needs dask (extra ``napari``). It decodes nothing by itself.
"""
