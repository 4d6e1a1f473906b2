import jax

from nvc_jax.evaluation.system import system


def test_versions_devices_and_kernels_are_named() -> None:
    values = system()
    assert values["jax"] == jax.__version__
    assert len(values["devices"]) == len(jax.devices())
    assert values["native_kernels"] == "ready"
