# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

SLOW = {
    "asyncio",
    "concurrent.futures",
    "google.protobuf",
    "importlib.metadata",
    "numpy",
    "tensorflow",
    "unittest",
    "urllib",
}


def test_a_server_for_one_model_imports_nothing_slow() -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import tensorserve.cli.main, tensorserve.cli.serve, tensorserve.cli.process\n"
        "import tensorserve.runtimes.tensorflow\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & SLOW == set()


def test_versions_are_printed_without_opening_tensorflow() -> None:
    code = (
        "import sys\n"
        "from tensorserve.cli.main import run\n"
        "run(['--version'])\n"
        "print(*sorted(sys.modules), 'libtensorflow' if 'libtensorflow' in open('/proc/self/maps').read() else '')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[1].startswith("TensorFlow Library: 2.")
    assert set(lines[2].split()) & (SLOW | {"libtensorflow"}) == set()
