"""Steps of loops whose number depends on data, counted for a given volume.

A compiler knows the steps of a loop only where they are constant. The entropy coder's depend on the bits of a
volume. ``count_steps`` runs a program on the CPU in the form that accelerators get, without the native
kernels, and counts them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun

_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_vmap_call": "call",
}
"""Operations that call a part of the program, and the parameter that holds it."""
_OPENED = {"while", "cond", "platform_index", "nvc_choose_form"}


def count_steps(function: Callable[..., Any], *arguments: Any) -> list[int]:
    """Count the steps of the loops of a program whose number depends on data, in order of execution.

    Args:
        function: of JAX, that may be traced.
        *arguments: trees of arrays.
    """
    steps: list[int] = []
    _evaluate(jax.make_jaxpr(function)(*arguments), jax.tree.leaves(arguments), steps)
    return steps


def _evaluate(closed: ClosedJaxpr, arguments: Sequence[Any], steps: list[int]) -> list[Any]:
    """Run a program operation by operation, and append the steps of each loop."""
    values: dict[Any, Any] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    values.update(zip(closed.jaxpr.invars, arguments, strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else values[variable]

    for equation in closed.jaxpr.eqns:
        results = _run(equation, [read(variable) for variable in equation.invars], steps)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in closed.jaxpr.outvars]


def _run(equation: Any, arguments: list[Any], steps: list[int]) -> Sequence[Any]:
    name, parameters = equation.primitive.name, equation.params
    if name == "while":
        results, n_steps = _count(parameters, arguments)
        steps.append(n_steps)
        return results
    if name == "platform_index":
        # The form of no platform by name is the one for accelerators.
        return [jax.numpy.int32(next(i for i, names in enumerate(parameters["platforms"]) if names is None))]
    if name == "cond":
        index = min(max(int(arguments[0]), 0), len(parameters["branches"]) - 1)
        return _evaluate(parameters["branches"][index], arguments[1:], steps)
    if name == "nvc_choose_form":
        return _evaluate(jax.make_jaxpr(parameters["forms"].default)(*arguments), arguments, steps)
    if name in _CALLS and _holds_opened(parameters[_CALLS[name]]):
        return _evaluate(parameters[_CALLS[name]], arguments, steps)
    results = equation.primitive.bind(*arguments, **parameters)
    return results if equation.primitive.multiple_results else [results]


def _holds_opened(closed: ClosedJaxpr) -> bool:
    """Tell whether a part of a program, or a part that it calls, has an operation to look into."""
    jaxpr: Jaxpr = closed.jaxpr
    return any(
        equation.primitive.name in _OPENED
        or (
            equation.primitive.name in _CALLS
            and _holds_opened(equation.params[_CALLS[equation.primitive.name]])
        )
        for equation in jaxpr.eqns
    )


def _count(parameters: dict[str, Any], arguments: list[Any]) -> tuple[Sequence[Any], int]:
    """Run a loop as one program that also counts its steps."""
    n_of_condition, n_of_body = parameters["cond_nconsts"], parameters["body_nconsts"]
    condition, body = jaxpr_as_fun(parameters["cond_jaxpr"]), jaxpr_as_fun(parameters["body_jaxpr"])
    of_condition = arguments[:n_of_condition]
    of_body = arguments[n_of_condition : n_of_condition + n_of_body]

    @jax.jit
    def run(of_condition: list[Any], of_body: list[Any], carried: list[Any]) -> tuple[Any, list[Any]]:
        return lax.while_loop(
            lambda state: condition(*of_condition, *state[1])[0],
            lambda state: (state[0] + 1, list(body(*of_body, *state[1]))),
            (jax.numpy.int32(0), carried),
        )

    n_steps, results = run(of_condition, of_body, arguments[n_of_condition + n_of_body :])
    return results, int(n_steps)
