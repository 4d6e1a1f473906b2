import jax
import jax.numpy as jnp
import pytest
from hlo_modules import MODULE
from hlo_text import parse, type_bytes


def test_sizes_of_types_are_those_of_all_their_arrays() -> None:
    assert type_bytes("f32[4,5]{1,0:T(8,128)S(1)}") == 80
    assert type_bytes("(s32[], u16[10]{0}, /*index=2*/pred[8]{0}, bf16[3]{0})") == 4 + 20 + 8 + 6
    assert type_bytes("s4[9]{0}") == 5
    assert type_bytes("token[]") == 0


def test_a_module_is_parsed_with_what_calls_what() -> None:
    module = parse(MODULE)
    assert module.entry == "main"
    loop = next(instruction for instruction in module.computations["main"] if instruction.name == "while.1")
    assert loop.opcode == "while"
    assert loop.operands == ("t.1",)
    assert loop.called == {"condition": ("condition_of_fixed",), "body": ("body_of_fixed",)}
    assert loop.op_name == "jit(program)/while"
    assert loop.n_bytes == 4 + 4000
    assert module.root("main").cycles == 3000
    assert module.root("condition_of_fixed").name == "c.3"
    below = next(i for i in module.computations["condition_of_batch"] if i.opcode == "custom-call")
    assert below.target == "below"


def test_lines_of_source_are_found_from_the_inside_out() -> None:
    module = parse(MODULE)
    loop = next(instruction for instruction in module.computations["main"] if instruction.name == "while.1")
    lines = ("/somewhere/nvc_jax/entropy/rans.py:7 push", "/somewhere/nvc_jax/native/dispatch.py:38 on_cpu")
    assert module.source(loop) == lines
    assert module.source(module.root("main")) == ()


def test_what_jax_compiles_is_parsed_whole() -> None:
    def program(values: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 5, lambda index, v: v.at[index].add(v.sum()), values)

    text = jax.jit(program).lower(jnp.zeros(64)).compile().as_text() or ""
    module = parse(text)
    assert sum(" = " in line for line in text.splitlines()) == sum(map(len, module.computations.values()))
    assert [i.trips for i in module.walk(module.entry) if i.opcode == "while"] == [5]


def test_other_text_is_refused() -> None:
    with pytest.raises(ValueError, match="ENTRY"):
        parse("module @jit_program {}")
