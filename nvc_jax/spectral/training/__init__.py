"""Fitting of nvc-1's entropy model and training of its refinement."""
