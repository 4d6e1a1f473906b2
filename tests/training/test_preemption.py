import signal
import threading

from nvc_jax.training.preemption import Preempted, noticing_preemption


def test_the_signal_is_noticed_and_does_not_end_the_process() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with noticing_preemption() as is_reached:
        assert not is_reached(1)
        signal.raise_signal(signal.SIGTERM)
        assert is_reached(2)
        assert is_reached(3)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_other_threads_leave_signals_alone() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    seen = []

    def train() -> None:
        with noticing_preemption() as is_reached:
            seen.append((is_reached(1), signal.getsignal(signal.SIGTERM) is handler))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [(False, True)]


def test_the_status_is_that_of_the_signal() -> None:
    assert Preempted().code == 143
