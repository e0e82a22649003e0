# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from tensorserve.lifecycle.quarantine import Quarantine, fingerprint


def test_a_version_is_held_until_its_files_change_or_it_is_released(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"model")
    path = str(tmp_path)
    quarantine = Quarantine({path: (fingerprint(path), "quarantined: why")})
    assert quarantine.reason(path) == "quarantined: why"
    assert quarantine.reason(str(tmp_path / "variables")) == ""
    (tmp_path / "variables" / "new").write_bytes(b"")
    assert quarantine.reason(path) == ""
    quarantine = Quarantine({path: (fingerprint(path), "quarantined: why")})
    quarantine.release(path)
    assert quarantine.reason(path) == ""


def test_urls_have_no_fingerprint() -> None:
    assert fingerprint("s3://bucket/m/1") == ""
    assert Quarantine({"s3://bucket/m/1": ("", "quarantined: why")}).reason("s3://bucket/m/1") == "quarantined: why"
