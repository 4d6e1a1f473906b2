"""A program in optimised HLO: loops that copy, select and update large buffers, written by hand."""

MODULE = """HloModule jit_program, is_scheduled=true

FileNames
1 "/somewhere/nvc_jax/entropy/rans.py"
2 "/somewhere/nvc_jax/native/dispatch.py"

FunctionNames
1 "push"
2 "on_cpu"

FileLocations
1 {file_name_id=1 function_name_id=1 line=7 end_line=7 column=1 end_column=2}
2 {file_name_id=2 function_name_id=2 line=38 end_line=38 column=1 end_column=2}

StackFrames
1 {file_location_id=1 parent_frame_id=2}
2 {file_location_id=2 parent_frame_id=2}


%fused_update (p.0: s32[1000], p.1: s32[], p.2: s32[1]) -> s32[1000] {
  %p.0 = s32[1000]{0:T(256)} parameter(0)
  %p.2 = s32[1]{0} parameter(2)
  %p.1 = s32[] parameter(1)
  ROOT %dus.1 = s32[1000]{0:T(256)} dynamic-update-slice(%p.0, %p.2, %p.1)
}

%fused_select (q.0: pred[], q.1: s32[1000], q.2: s32[1000]) -> s32[1000] {
  %q.0 = pred[] parameter(0)
  %q.1 = s32[1000]{0} parameter(1)
  %q.2 = s32[1000]{0} parameter(2)
  %broadcast.1 = pred[1000]{0} broadcast(%q.0), dimensions={}
  ROOT %select.1 = s32[1000]{0} select(%broadcast.1, %q.1, %q.2)
}

%fused_read (r.0: s32[1000], r.1: s32[]) -> s32[1] {
  %r.0 = s32[1000]{0} parameter(0)
  %r.1 = s32[] parameter(1)
  ROOT %slice.1 = s32[1]{0} dynamic-slice(%r.0, %r.1), dynamic_slice_sizes={1}
}

%any (a.1: pred[], a.2: pred[]) -> pred[] {
  %a.1 = pred[] parameter(0)
  %a.2 = pred[] parameter(1)
  ROOT %or.1 = pred[] or(%a.1, %a.2)
}

%body_of_fixed (b.0: (s32[], s32[1000])) -> (s32[], s32[1000]) {
  %b.0 = (s32[], s32[1000]{0}) parameter(0)
  %b.1 = s32[] get-tuple-element(%b.0), index=0
  %b.2 = s32[1000]{0} get-tuple-element(%b.0), index=1
  %read.1 = s32[1]{0} fusion(%b.2, %b.1), kind=kLoop, calls=%fused_read
  %update.1 = s32[1000]{0} fusion(%b.2, %b.1, %read.1), kind=kLoop, calls=%fused_update
  %b.3 = s32[] add(%b.1, %b.1)
  ROOT %b.4 = (s32[], s32[1000]{0}) tuple(%b.3, %update.1)
}

%condition_of_fixed (c.0: (s32[], s32[1000])) -> pred[] {
  %c.0 = (s32[], s32[1000]{0}) parameter(0)
  %c.1 = s32[] get-tuple-element(%c.0), index=0
  %c.2 = s32[] constant(12)
  ROOT %c.3 = pred[] compare(%c.1, %c.2), direction=LT
}

%body_of_batch (d.0: (s32[4], s32[1000])) -> (s32[4], s32[1000]) {
  %d.0 = (s32[4]{0}, s32[1000]{0}) parameter(0)
  %d.1 = s32[4]{0} get-tuple-element(%d.0), index=0
  %d.2 = s32[1000]{0} get-tuple-element(%d.0), index=1
  %copy.1 = s32[1000]{0} copy(%d.2)
  %d.3 = pred[] constant(true)
  %select.2 = s32[1000]{0} fusion(%d.3, %d.2, %copy.1), kind=kLoop, calls=%fused_select
  ROOT %d.4 = (s32[4]{0}, s32[1000]{0}) tuple(%d.1, %select.2)
}

%condition_of_batch (e.0: (s32[4], s32[1000])) -> pred[] {
  %e.0 = (s32[4]{0}, s32[1000]{0}) parameter(0)
  %e.1 = pred[4]{0} custom-call(%e.0), custom_call_target="below"
  %e.2 = pred[] constant(false)
  ROOT %e.3 = pred[] reduce(%e.1, %e.2), dimensions={0}, to_apply=%any
}

ENTRY %main (x: s32[1000], y: s32[4]) -> s32[1000] {
  %x = s32[1000]{0} parameter(0)
  %y = s32[4]{0} parameter(1)
  %zero = s32[] constant(2)
  %t.1 = (s32[], s32[1000]{0}) tuple(%zero, %x)
  %while.1 = (s32[], s32[1000]{0}) while(%t.1), condition=%condition_of_fixed, body=%body_of_fixed, \
metadata={op_name="jit(program)/while" stack_frame_id=1}
  %g.1 = s32[1000]{0} get-tuple-element(%while.1), index=1
  %t.2 = (s32[4]{0}, /*index=1*/s32[1000]{0}) tuple(%y, %g.1)
  %while.2 = (s32[4]{0}, s32[1000]{0}) while(%t.2), condition=%condition_of_batch, body=%body_of_batch, \
metadata={op_name="jit(program)/vmap()/while" stack_frame_id=2}
  %g.2 = s32[1000]{0} get-tuple-element(%while.2), index=1
  ROOT %done.1 = s32[1000]{0} negate(%g.2), backend_config={"estimated_cycles":"3000"}
}
"""
