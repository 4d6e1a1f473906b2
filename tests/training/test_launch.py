import pytest

from nvc_jax.training.launch import connect_processes


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"},
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        {"TPU_WORKER_HOSTNAMES": "localhost"},
    ],
    ids=["nothing", "Slurm", "MPI", "Kubernetes", "TPU"],
)
def test_a_single_process_is_not_connected(environ: dict[str, str]) -> None:
    assert not connect_processes(environ)


def test_a_launcher_that_does_not_tell_its_first_host_needs_an_address() -> None:
    with pytest.raises(ValueError, match=r"PMI started 4 processes .* set JAX_COORDINATOR_ADDRESS=HOST:PORT"):
        connect_processes({"PMI_RANK": "1", "PMI_SIZE": "4"})
