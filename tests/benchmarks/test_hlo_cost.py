import pytest
from hlo_cost import Device, named_cost, program_cost
from hlo_modules import MODULE
from hlo_text import parse

DEVICE = Device("a device", 1000.0, 0.5, 10.0, None)


def test_known_steps_count_and_parts_of_buffers_are_small() -> None:
    outside = program_cost(parse(MODULE), DEVICE, {})[""]
    # Ten steps of three kernels: reading 4 bytes at an index, writing them at another, counting.
    assert outside.kernels == 10 * 3 + 1
    assert outside.n_bytes == 10 * ((4 + 4 + 4) + (4 + 4 + 4) + 12) + 8000
    assert outside.seconds == pytest.approx(10 * 3 * 0.5 + 8.0)


def test_loops_that_depend_on_data_are_apart_and_wait_for_the_host() -> None:
    costs = program_cost(parse(MODULE), DEVICE, {"while.2": 7})
    assert set(costs) == {"", "while.2"}
    assert costs["while.2"].kernels == 7 * 2
    assert costs["while.2"].n_bytes == 7 * (8000 + 12001)
    assert costs["while.2"].seconds == pytest.approx(7 * (10.0 + 8.0 + 12.001))


def test_cycles_of_the_compiler_go_before_bytes() -> None:
    device = Device("a device", 1000.0, 0.5, 10.0, 1000.0)
    assert program_cost(parse(MODULE), device, {})[""].seconds == pytest.approx(10 * 3 * 0.5 + 3.0)


def test_kernels_of_pallas_are_known_by_their_names() -> None:
    kernel = 'custom-call(%p.1), custom_call_target="__gpu$xla.gpu.triton", backend_config={'
    kernel += 'name = "NAME", num_stages = 1 : i32}'
    module = parse(
        f"""HloModule program

ENTRY %main.1 (p.1: f32[100]) -> f32[100] {{
  %p.1 = f32[100]{{0}} parameter(0)
  %one.1 = f32[100]{{0}} {kernel.replace("NAME", "_one")}
  ROOT %other.1 = f32[50]{{0}} {kernel.replace("NAME", "_other")}
}}
"""
    )
    assert named_cost(module, DEVICE, {"_other", "_third"}).n_bytes == 600
    assert named_cost(module, DEVICE, {"_one", "_other"}).kernels == 2


@pytest.mark.parametrize(("name", "n_bytes"), [("_choose", 0), ("_convert", 4 * (100 + 30))])
def test_arrays_of_what_does_not_fit_into_two_bytes_do_not_count(name: str, n_bytes: int) -> None:
    kernel = 'custom-call(%p.1, %p.2), custom_call_target="__gpu$xla.gpu.triton", backend_config={'
    module = parse(
        f"""HloModule program

ENTRY %main.1 (p.1: s16[50,2], p.2: f32[50,2]) -> (s16[30], s32[30], s32[31]) {{
  %p.1 = s16[50,2]{{0,1}} parameter(0)
  %p.2 = f32[50,2]{{0,1}} parameter(1)
  ROOT %one.1 = (s16[30]{{0}}, s32[30]{{0}}, s32[31]{{0}}) {kernel}name = "{name}", num_stages = 1 : i32}}
}}
"""
    )
    assert program_cost(module, DEVICE, {})[""].n_bytes == 2 * (100 + 30) + 4 * 31 + n_bytes


def test_kernels_that_draw_from_a_volume_read_what_they_return() -> None:
    kernel = 'custom-call(%p.1, %p.2), custom_call_target="__gpu$xla.gpu.triton", backend_config={'
    module = parse(
        f"""HloModule program

ENTRY %main.1 (p.1: f32[1000], p.2: f32[30]) -> (f32[100], f32[20]) {{
  %p.1 = f32[1000]{{0}} parameter(0)
  %p.2 = f32[30]{{0}} parameter(1)
  ROOT %one.1 = (f32[100]{{0}}, f32[20]{{0}}) {kernel}name = "_transform_column", num_stages = 1 : i32}}
}}
"""
    )
    assert program_cost(module, DEVICE, {})[""].n_bytes == 4 * (100 + 30 + 100 + 20)


def test_copies_to_a_core_count_in_memory_alone() -> None:
    module = parse(
        """HloModule program

ENTRY %main.1 (p.1: f32[100]) -> f32[25] {
  %p.1 = f32[100]{0} parameter(0)
  %copy.1 = (f32[100]{0:S(1)}, f32[100]{0}, u32[]{:S(2)}) copy-start(%p.1)
  %copy.2 = (f32[100]{0}, f32[100]{0}, u32[]{:S(2)}) copy-start(%p.1)
  %slice.1 = ((f32[100]{0}), f32[25]{0:S(1)}, s32[]{:S(2)}) slice-start(%p.1)
  ROOT %done.1 = f32[25]{0} slice-done(%slice.1)
}
"""
    )
    assert program_cost(module, DEVICE, {})[""].n_bytes == 400 + 800 + 100


def test_kernels_take_at_least_the_time_of_their_bytes() -> None:
    kernel = 'custom-call(%p.1), custom_call_target="tpu_custom_call", backend_config={'
    text = f"""HloModule program

ENTRY %main.1 (p.1: f32[100]) -> f32[100] {{
  %p.1 = f32[100]{{0}} parameter(0)
  ROOT %one.1 = f32[100]{{0}} {kernel}"estimated_cycles":"CYCLES"}}
}}
"""
    device = Device("a device", 1000.0, 0.5, 10.0, 1000.0)
    for cycles, seconds in ((100, 0.8), (2000, 2.0)):
        cost = program_cost(parse(text.replace("CYCLES", str(cycles))), device, {})[""]
        assert cost.seconds == pytest.approx(seconds)
