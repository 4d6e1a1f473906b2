from hlo_loops import WholeCopy, find_loops, launches
from hlo_modules import MODULE
from hlo_text import parse


def test_a_loop_that_updates_in_place_copies_nothing() -> None:
    fixed, _ = find_loops(parse(MODULE), large_bytes=1000)
    assert fixed.label == "entropy/rans.py:7 push"
    assert fixed.trips == 10  # from 2 to 12
    assert fixed.kernels == 3
    assert fixed.copies == ()
    assert not fixed.is_batched


def test_a_batched_loop_copies_and_selects_what_it_carries() -> None:
    _, batched = find_loops(parse(MODULE), large_bytes=1000)
    assert batched.trips is None
    assert batched.is_batched
    assert batched.label == "jit(program)/vmap()/while"  # the line is that of all kernels
    copies = (WholeCopy("copy.1", "copy", 4000), WholeCopy("select.2", "select", 4000))
    assert batched.copies == copies
    assert batched.copied_bytes == 8000


def test_a_kernel_may_update_in_place_what_a_loop_carries() -> None:
    update = next(line for line in MODULE.splitlines() if line.startswith("  %update.1 ="))
    kernel = "  %update.1 = (s32[1000]{0}, s32[1000]{0}) custom-call(%b.2, %b.1)"
    for attributes, n_copies in (("", 2), (", output_to_operand_aliasing={{1}: (0, {})}", 1)):
        fixed, _ = find_loops(parse(MODULE.replace(update, kernel + attributes)), large_bytes=1000)
        assert fixed.copies == (WholeCopy("update.1", "custom-call", 4000),) * n_copies


def test_small_buffers_may_be_copied() -> None:
    assert [loop.copied_bytes for loop in find_loops(parse(MODULE), large_bytes=5000)] == [0, 0]


def test_views_are_no_kernels() -> None:
    module = parse(MODULE)
    assert [instruction.name for instruction in launches(module, "main")] == ["done.1"]
