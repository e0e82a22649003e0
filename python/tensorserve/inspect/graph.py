# SPDX-License-Identifier: Apache-2.0
"""Which nodes a signature needs: those that its outputs depend on, and the functions that these call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ARGUMENT_OPS = frozenset({"_Arg", "_Retval", "Placeholder", "NoOp", "Const", "Identity", "ReadVariableOp"})


@dataclass(frozen=True, slots=True)
class Scope:
    """Nodes that can name each other: those of the graph, or those of a function.

    Attributes:
        nodes: `NodeDef` by name; all nodes of the scope, whether needed or not.
        needed: Names of those that are needed.
    """

    nodes: Mapping[str, Any]
    needed: Sequence[str]

    def values(self) -> Iterator[Any]:
        """The nodes that are needed."""
        return (self.nodes[name] for name in self.needed)


class Graph:
    """A graph and its functions.

    Args:
        graph: A `GraphDef`.
    """

    def __init__(self, graph: Any) -> None:
        self._nodes = {node.name: node for node in graph.node}
        self._functions = {function.signature.name: function for function in graph.library.function}
        self._calls: dict[str, frozenset[str]] = {}
        self._scopes: dict[str, Scope] = {}

    def all_ops(self) -> set[str]:
        """The types of all nodes, needed or not; functions do not count as ops."""
        ops = {node.op for node in self._nodes.values()}
        for function in self._functions.values():
            ops.update(node.op for node in function.node_def)
        return ops - self._functions.keys()

    def needed(self, tensors: Iterable[str]) -> list[Scope]:
        """The scopes that are run to compute some tensors; that of the graph is the first."""
        top = Scope(self._nodes, self._ancestors(tensors))
        scopes, seen = [top], set()
        waiting = list(self._called(top))
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            scope = self._function_scope(name)
            scopes.append(scope)
            waiting.extend(self._called_by_function(name, scope))
        return scopes

    def _ancestors(self, tensors: Iterable[str]) -> list[str]:
        found: dict[str, None] = {}
        waiting = [node_name(tensor) for tensor in tensors]
        while waiting:
            name = waiting.pop()
            if name in found or name not in self._nodes:
                continue
            found[name] = None
            waiting.extend(map(node_name, self._nodes[name].input))
        return list(found)

    def _function_scope(self, name: str) -> Scope:
        if name not in self._scopes:
            nodes = {node.name: node for node in self._functions[name].node_def}
            self._scopes[name] = Scope(nodes, list(nodes))
        return self._scopes[name]

    def _called_by_function(self, name: str, scope: Scope) -> frozenset[str]:
        if name not in self._calls:
            self._calls[name] = frozenset(self._called(scope))
        return self._calls[name]

    def _called(self, scope: Scope) -> Iterator[str]:
        for node in scope.values():
            if node.op in self._functions:
                yield node.op
            elif node.op not in _ARGUMENT_OPS:
                yield from self._functions_in(node)

    def _functions_in(self, node: Any) -> Iterator[str]:
        for attr in node.attr.values():
            if attr.HasField("func"):
                names = [attr.func.name]
            elif attr.HasField("list"):
                names = [function.name for function in attr.list.func]
            else:
                continue
            yield from (name for name in names if name in self._functions)


def node_name(tensor: str) -> str:
    """The node of `name`, `name:0`, `^name` or, in functions, `name:output:0`."""
    return tensor.lstrip("^").partition(":")[0]


def count_ops(scopes: Iterable[Scope], functions: Iterable[str] = ()) -> Counter[str]:
    """How many nodes of each type some scopes run."""
    return Counter(node.op for scope in scopes for node in scope.values())
