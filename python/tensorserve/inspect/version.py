# SPDX-License-Identifier: Apache-2.0
"""Describes a version of a model by its files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from tensorserve.errors import Code, ServingError
from tensorserve.inspect.description import Model, Signature, Variables
from tensorserve.inspect.graph import Graph, count_ops
from tensorserve.inspect.ops import custom_ops
from tensorserve.inspect.saved_model import MetaGraph, read_meta_graphs, read_text
from tensorserve.inspect.signatures import describe_signatures, dtype_name
from tensorserve.sources.completeness import INDEX, SAVED_MODEL, VARIABLES
from tensorserve.sources.protobuf_fields import VARINT, MalformedError, TruncatedError, fields, file_size
from tensorserve.sources.variables_index import read_shard_sizes, read_tensors, shard_name
from tensorserve.sources.version_directory import version_number

_TEXT_MODEL = "saved_model.pbtxt"
_SPLIT_MODEL = "saved_model.cpb"
_FINGERPRINT = "fingerprint.pb"
_GRAPH_HASH = 2
# What a checkpoint holds besides variables: the graph of Python objects.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def describe_version(
    place: str, sizes: Mapping[str, int], folder: str, tags: Collection[str], versions: Sequence[int]
) -> Model:
    """Describes a version.

    Args:
        place: Where it lies.
        sizes: Size of each of its files.
        folder: Where those files can be read that are not data of variables.
        tags: Tag set of the graph to describe.
        versions: All versions beside it.

    Raises:
        ServingError: There is no SavedModel, it is damaged, or has no graph with these tags.
        OSError: A file cannot be read.
    """
    graphs = _meta_graphs(place, folder)
    chosen = _choose(graphs, tags)
    graph = Graph(chosen.graph)
    signatures = describe_signatures(chosen.signatures, graph)
    tensors = [output.name for signature in signatures for output in signature.outputs]
    ops = count_ops(graph.needed(tensors))
    index = _Index(folder) if INDEX in sizes else None
    base, _slash, last = place.rstrip("/").rpartition("/")
    number = version_number(last)
    return Model(
        place=place,
        name=base.rpartition("/")[2] if number is not None else last,
        version=number,
        signatures=signatures,
        versions=tuple(versions) or ((number,) if number is not None else ()),
        tags=tuple(tuple(each.info.tags) for each in graphs),
        tensorflow_version=chosen.info.tensorflow_version,
        fingerprint=_fingerprint(os.path.join(folder, _FINGERPRINT)),
        files=dict(sorted(sizes.items())),
        assets=tuple(f"assets/{name}" for name in sorted(chosen.assets)),
        variables=index.variables if index else None,
        ops=dict(ops.most_common()),
        custom_ops=custom_ops(graph.all_ops()),
        problems=tuple(_problems(chosen, signatures, sizes, index)),
    )


def _meta_graphs(place: str, folder: str) -> list[MetaGraph]:
    try:
        with open(os.path.join(folder, SAVED_MODEL), "rb") as file:
            return read_meta_graphs(file)
    except FileNotFoundError:
        pass
    except ServingError as error:
        raise ServingError(error.code, f"{place}: {error.message}") from error
    text = os.path.join(folder, _TEXT_MODEL)
    if os.path.exists(text):
        with open(text, "rb") as file:
            return read_text(file.read())
    if os.path.exists(os.path.join(folder, _SPLIT_MODEL)):
        advice = f"export it again with `tensorserve export {place} BASE_PATH`"
        raise ServingError(Code.UNIMPLEMENTED, f"{place} has its graph in pieces, in {_SPLIT_MODEL}; {advice}")
    raise ServingError(Code.NOT_FOUND, f"{place} holds no {SAVED_MODEL}; is the model complete?")


def _choose(graphs: Sequence[MetaGraph], tags: Collection[str]) -> MetaGraph:
    for graph in graphs:
        if set(graph.info.tags) == set(tags):
            return graph
    there = "; ".join(",".join(graph.info.tags) or "(none)" for graph in graphs)
    text = f"no graph has the tags {','.join(tags)}; there are: {there}. Name one of these with --saved_model_tags."
    raise ServingError(Code.NOT_FOUND, text)


class _Index:
    """What `variables.index` says.

    Raises:
        ServingError: DATA_LOSS, it is damaged.
    """

    def __init__(self, folder: str) -> None:
        self.variables: Variables | None = None
        count, size, elements = 0, 0, Counter[str]()
        try:
            with open(os.path.join(folder, INDEX), "rb") as file:
                self.shards = read_shard_sizes(file)
                for tensor in read_tensors(file):
                    if tensor.name != _OBJECT_GRAPH:
                        count, size = count + 1, size + tensor.size
                        elements[dtype_name(tensor.dtype)] += tensor.elements
        except (TruncatedError, MalformedError) as error:
            raise ServingError(Code.DATA_LOSS, f"{INDEX} is damaged or not complete: {error}") from error
        if count:
            self.variables = Variables(count, dict(elements.most_common()), size)


def _problems(
    graph: MetaGraph, signatures: Sequence[Signature], sizes: Mapping[str, int], index: _Index | None
) -> list[str]:
    problems = [f"assets/{name} is missing" for name in graph.assets if f"assets/{name}" not in sizes]
    if not signatures:
        problems.append("there is no signature; export the model with one, such as by `tensorserve export`")
    if index is not None:
        for shard in range(index.shards.num_shards):
            name = f"{VARIABLES}/{shard_name(shard, index.shards.num_shards)}"
            wanted = index.shards.least_bytes.get(shard, 0)
            if name not in sizes:
                problems.append(f"{name} is missing")
            elif sizes[name] < wanted:
                problems.append(f"{name} has {sizes[name]} bytes of {wanted}")
    return problems


def _fingerprint(path: str) -> str:
    try:
        with open(path, "rb") as file:
            for field in fields(file, 0, file_size(file)):
                if field.number == _GRAPH_HASH and field.wire_type == VARINT:
                    return f"{field.value:016x}"
    except (OSError, TruncatedError, MalformedError):
        pass
    return ""
