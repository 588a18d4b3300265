"""The operations of a compiled step.

Two steps whose programs have the same operations on the same shapes cost the
same: a difference between their times is noise.
"""

import collections
import re
from typing import Any

Program = collections.Counter[str]

# An instruction of XLA: name, shape and operation.
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?\S+ = (\S+) ([a-z-]+)\(", re.M)


def of_jax(jitted: Any, *arguments: Any) -> Program:
    """Counts the instructions of a jitted function, as XLA optimized it."""
    return _of_hlo(jitted.lower(*arguments).compile().as_text())


def of_tensorflow(function: Any, *arguments: Any, xla: bool) -> Program:
    """Counts the operations of a `tf.function`, or what XLA makes of it."""
    if xla:
        return _of_hlo(
            function.experimental_get_compiler_ir(*arguments)(
                stage="optimized_hlo"
            )
        )
    graph = function.get_concrete_function(*arguments).graph
    program = collections.Counter(
        f"{op.type} {[(t.dtype.name, t.shape) for t in op.outputs]}"
        for op in graph.get_operations()
    )
    for called in graph.as_graph_def().library.function:
        program.update(f"{node.op} in a function" for node in called.node_def)
    return program


def _of_hlo(text: str) -> Program:
    return collections.Counter(
        f"{operation} {shape}"
        for shape, operation in _INSTRUCTION.findall(text)
    )
