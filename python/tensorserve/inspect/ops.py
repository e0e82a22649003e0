# SPDX-License-Identifier: Apache-2.0
"""Ops that a server may lack, and ops that do more than compute."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

from tensorserve.inspect.description import CustomOp, Risk
from tensorserve.runtimes.op_libraries import KNOWN_PACKAGES, libraries_of

# The packages that are known for ops of their own, by the names of those.
_PACKAGES = {
    "tensorflow-text": re.compile(
        r"TFText>|Sentencepiece|SentenceFragments|CaseFoldUTF8|ConstrainedSequence|FastBertNormalize|FindSourceOffsets"
        r"|FastWordpieceTokenize|MaxSpanningTree|NormalizeUTF8|PhraseTokenize|RegexSplitWithOffsets|RougeL"
        r"|SplitMergeTokenize|TokenizerFromLogits|UnicodeScriptTokenize|WhitespaceTokenize|WordpieceTokenize"
    ),
    "tensorflow-decision-forests": re.compile(r"SimpleML"),
    "tensorflow-addons": re.compile(r"Addons>"),
    "tensorflow-io": re.compile(r"IO>"),
    "tensorflow-recommenders-addons": re.compile(r"TFRA>"),
    "horovod": re.compile(r"Horovod"),
    "tensorflow-quantum": re.compile(r"Tfq"),
}
# What the folders of `runtimes.op_libraries` are called on PyPI.
_PYPI_NAMES = {"tensorflow_text": "tensorflow-text", "ydf_tf": "ydf-tf"}

_READS_FILES = "reads files of the server's machine"
_WRITES_FILES = "writes files on the server's machine"
_PYTHON = "calls Python code that is not in the model; no server can run it"
_STATE = "changes variables or tables, so that requests change later answers"
_WAITS = "takes from a queue, so that requests can wait for one another without end"
_PRINTS = "prints, once for each run"
_REMOTE = "talks to other devices or machines"
_RISKS = (
    (
        re.compile(
            r"ReadFile$|MatchingFiles$|Restore|ReaderRead|.*Reader(V2)?$|"
            r".*(TFRecord|TextLine|FixedLengthRecord|LMDB)Dataset"
        ),
        _READS_FILES,
    ),
    (
        re.compile(r"Write(File|.*Summary)|Save|MergeV2Checkpoints|DeleteFile|RenameFile|.*SummaryWriter"),
        _WRITES_FILES,
    ),
    (re.compile(r"EagerPyFunc|PyFunc|GeneratorDataset"), _PYTHON),
    (
        re.compile(
            r"Apply|Assign|CountUpTo|Resource(Apply|CountUpTo|Scatter|SparseApply|StridedSliceAssign)|SparseApply|"
            r"Scatter(?!Nd$)|LookupTable(Import|Insert|Remove)|Accumulator|DestroyTemporaryVariable"
        ),
        _STATE,
    ),
    (re.compile(r"QueueDequeue|QueueEnqueue|Barrier|Map(Uns|S)tage|(Uns|S)tage$|MutexLock|IteratorGetNext"), _WAITS),
    (re.compile(r"Print"), _PRINTS),
    (re.compile(r"RemoteCall|RpcCall|Collective|_(Host)?(Recv|Send)$"), _REMOTE),
)


def risk(op: str) -> Risk | None:
    """Why an op that requests run deserves a look; None if it only computes."""
    for pattern, reason in _RISKS:
        if pattern.match(op):
            return Risk(op, reason)
    return None


def custom_ops(ops: Iterable[str]) -> tuple[CustomOp, ...]:
    """Those of some ops that no release of TensorFlow known here has."""
    return tuple(_custom_op(op) for op in sorted(set(ops) - known_ops()))


@cache
def known_ops() -> frozenset[str]:
    """The ops of TensorFlow 2.21, which keeps those of earlier releases."""
    return frozenset((resources.files(__package__) / "tensorflow_ops.txt").read_text().split())


def _custom_op(op: str) -> CustomOp:
    installed = _installed_package(op)
    if installed:
        return CustomOp(op, installed, True)
    package = next((package for package, pattern in _PACKAGES.items() if pattern.match(op)), "")
    return CustomOp(op, package, False)


def _installed_package(op: str) -> str:
    """The installed package one of whose libraries names an op; a server loads these by itself."""
    for package in KNOWN_PACKAGES:
        if any(_names(path, op) for path in libraries_of(package)):
            return _PYPI_NAMES.get(package, package.replace("_", "-"))
    return ""


def _names(path: str, op: str) -> bool:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
        return library.find(op.encode()) >= 0
