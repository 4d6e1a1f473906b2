import threading

import pytest

from nvc_jax.chunks.experience import NO_EXPERIENCE, Comparison, Experience, SeenChunk
from nvc_jax.chunks.lessons import Lessons
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
            experience = self.lessons.begin(pilot, self.target)
            assert experience == Experience(learns=True)
            experience.seen.append(SEEN)
            experience.compared.append(COMPARED)
            self.lessons.end(pilot, self.target, experience)


def test_pilots_are_encoded_once_for_a_target() -> None:
    lessons = Lessons(4, PILOTS)
    encoding = Encoding(lessons)
    threads = [threading.Thread(target=lessons.learn, args=(TARGET, encoding)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encoding.encoded == PILOTS
    assert lessons.begin(OTHER, TARGET) == Experience([SEEN, SEEN], compared=[COMPARED, COMPARED])
    assert lessons.begin(OTHER, ChunkTarget(None, 0.2)) == NO_EXPERIENCE


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
    assert lessons.begin(OTHER, target) == NO_EXPERIENCE
