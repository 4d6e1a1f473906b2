"""The container: a Zarr v3 array of payloads."""
