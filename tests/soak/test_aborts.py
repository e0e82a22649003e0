# SPDX-License-Identifier: Apache-2.0
"""No request ends the process by a kernel of TensorFlow, and what TensorFlow answers is answered.

`make soak SUITE=aborts` hunts through the product for SOAK_SECONDS, and fails for each death.
`python -m tests.soak.abort_hunt SECONDS` hunts in TensorFlow alone, for what there is to be guarded against.
"""

import os
import random

from tests.soak import abort_agreement, abort_hunt

FAMILIES = 40
ENDLESS = "TIMEOUT"
"""A run that takes long is no death: an op may be asked for more numbers than it can compute in seconds."""


def test_nothing_ends_the_process() -> None:
    seconds = float(os.environ.get("SOAK_SECONDS", "900"))
    seed = int(os.environ.get("SOAK_SEED", str(random.randrange(1 << 31))))
    findings = abort_hunt.hunt(seconds, seed)
    print(f"\nseed {seed}: {findings.summary()}")
    deaths = [death for death in findings.deaths if death.signal != ENDLESS]
    assert not deaths, "\n".join(map(str, deaths[:20]))
    assert findings.requests > seconds, findings.unusable
    if seconds >= 900:
        assert len(findings.families) >= FAMILIES, findings.families


def test_what_tensorflow_answers_is_answered() -> None:
    seconds = float(os.environ.get("SOAK_SECONDS", "900")) / 3
    seed = int(os.environ.get("SOAK_SEED", str(random.randrange(1 << 31))))
    findings = abort_agreement.compare(seconds, seed, abort_agreement.guarded_recipes())
    print(f"\nseed {seed}: {findings.requests} requests to {len(findings.ops)} ops, {findings.answered} answered")
    assert not findings.disagreements, "\n".join(map(str, findings.disagreements[:20]))
    assert findings.answered > seconds
