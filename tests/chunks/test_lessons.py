import threading

import pytest

from nvc_jax.chunks.experience import NO_EXPERIENCE, Comparison, Experience, SeenChunk
from nvc_jax.chunks.lessons import Lessons
from nvc_jax.chunks.spread_steps import OwnTarget
from nvc_jax.core.chunk_grid import Region
from nvc_jax.core.chunk_interfaces import ChunkTarget

PILOTS = [(slice(0, 8),), (slice(16, 24),)]
OTHER = (slice(8, 16),)
TARGET = ChunkTarget(None, 0.1)
SEEN = SeenChunk(False, 1000.0, 500.0, 600.0, 700.0, 770.0)
COMPARED = Comparison(False, 2.0, 0.9)


class Encoding:
    """Encodes pilots and counts them."""

    def __init__(self, lessons: Lessons, target: ChunkTarget = TARGET) -> None:
        self.lessons, self.target = lessons, target
        self.encoded: list[Region] = []

    def __call__(self, pilots: list[Region]) -> None:
        self.encoded += pilots
        for pilot in pilots:
            with self.lessons.on(pilot, OwnTarget(self.target, self.target)) as experience:
                assert experience == Experience(learns=True)
                experience.seen.append(SEEN)
                experience.compared.append(COMPARED)


def experience_with(lessons: Lessons, target: ChunkTarget) -> Experience:
    """Experience with another chunk under a target."""
    with lessons.on(OTHER, OwnTarget(target, target)) as experience:
        return experience


def test_pilots_are_encoded_once_for_a_target() -> None:
    lessons = Lessons(4, PILOTS)
    encoding = Encoding(lessons)
    threads = [threading.Thread(target=lessons.learn, args=(TARGET, encoding)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encoding.encoded == PILOTS
    assert experience_with(lessons, TARGET) == Experience([SEEN, SEEN], compared=[COMPARED, COMPARED])
    assert experience_with(lessons, ChunkTarget(None, 0.2)) == NO_EXPERIENCE


def test_pilots_that_were_encoded_are_left_out() -> None:
    lessons = Lessons(4, PILOTS)
    encoding = Encoding(lessons)
    encoding(PILOTS[:1])
    lessons.learn(TARGET, encoding)
    assert encoding.encoded == PILOTS


def test_an_error_of_a_pilot_is_raised_and_the_pilot_encoded_again() -> None:
    lessons = Lessons(4, PILOTS)

    def fail(_: list[Region]) -> None:
        raise OSError("a broken disk")

    with pytest.raises(OSError, match="a broken disk"):
        lessons.learn(TARGET, fail)
    encoding = Encoding(lessons)
    lessons.learn(TARGET, encoding)
    assert encoding.encoded == PILOTS


@pytest.mark.parametrize(
    ("n_chunks", "target"), [(3, TARGET), (9, ChunkTarget(0.0, None)), (9, ChunkTarget(None, 1.0, 0.1))]
)
def test_nothing_is_learned_of_few_chunks_and_where_one_way_is_known(
    n_chunks: int, target: ChunkTarget
) -> None:
    lessons = Lessons(n_chunks, PILOTS)
    encoding = Encoding(lessons, target)
    lessons.learn(target, encoding)
    assert encoding.encoded == []
    assert experience_with(lessons, target) == NO_EXPERIENCE


def test_a_pilot_with_a_step_of_its_own_teaches_nothing() -> None:
    lessons = Lessons(4, PILOTS)
    with lessons.on(PILOTS[0], OwnTarget(ChunkTarget(None, 0.2), TARGET)) as experience:
        experience.seen.append(SEEN)
    encoding = Encoding(lessons)
    lessons.learn(TARGET, encoding)
    assert encoding.encoded == PILOTS
    assert experience_with(lessons, TARGET).seen == [SEEN, SEEN]
