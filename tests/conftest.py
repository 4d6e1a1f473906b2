"""Strict settings for every test: two virtual devices, no implicit promotion."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import hypothesis
import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
hypothesis.settings.register_profile("nvc", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("nvc")
