from pathlib import Path

from hlo_text import parse
from llo_cost import dump_flags, read_cycles, with_cycles

PROGRAM = """HloModule program

ENTRY %main.1 (p.1: f32[100]) -> f32[100] {
  %p.1 = f32[100]{0} parameter(0)
  %tile.1 = f32[100]{0} custom-call(%p.1), custom_call_target="tpu_custom_call", backend_config={}
  ROOT %tile.2 = f32[100]{0} custom-call(%tile.1), custom_call_target="tpu_custom_call", backend_config={}
}
"""
SUMMARY = "Schedule analysis:\n\ttotal scheduled bundles:    200\n\tempty scheduled bundles:    20\n"
SCHEDULE = "%p8 = scmp.ge.s32.totalorder %s25_s12, 10 /* loop exit test */  ;;"


def test_cycles_are_words_times_steps(tmp_path: Path) -> None:
    (tmp_path / "17-tile.1-00-schedule-analysis_packed-bundles-post-ra.txt").write_text(SUMMARY)
    (tmp_path / "17-tile.1-01-packed-bundles-post-ra.txt").write_text(SCHEDULE)
    assert read_cycles(tmp_path, {"tile.1", "tile.2"}) == {"tile.1": 2000}
    module = with_cycles(parse(PROGRAM), tmp_path)
    assert [inner.cycles for inner in module.computations["main.1"]] == [None, 2000, None]
    assert str(tmp_path) in dump_flags(tmp_path)


def test_kernels_without_a_loop_take_one_step(tmp_path: Path) -> None:
    (tmp_path / "17-tile.1-00-schedule-analysis_packed-bundles-post-ra.txt").write_text(SUMMARY)
    (tmp_path / "17-tile.1-01-packed-bundles-post-ra.txt").write_text("")
    assert read_cycles(tmp_path, {"tile.1"}) == {"tile.1": 200}
