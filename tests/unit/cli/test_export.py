# SPDX-License-Identifier: Apache-2.0
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tensorserve.cli import export
from tensorserve.cli.exit_status import FAILURE, OK, USAGE


def test_a_saved_model(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "mine"
    assert export.run([str(models / "half_plus_two"), str(base), "--input=input=x", "--output=output", "--json"]) == OK
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["checked"]) == (1, ["serving_default"])
    assert [each["alias"] for each in found["model"]["signatures"][0]["inputs"]] == ["input"]
    assert (base / "1" / "assets.extra" / "tf_serving_warmup_requests").exists()


def test_pictures_and_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import keras

    model, base = tmp_path / "model.keras", str(tmp_path / "mine")
    keras.Sequential([keras.Input((4, 4, 3), name="p"), keras.layers.Flatten(), keras.layers.Dense(2)]).save(model)
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    (tmp_path / "features.json").write_text('{"p": ["float32", [4, 4, 3]]}')
    examples = [f"--classify={tmp_path / 'features.json'}", f"--labels={tmp_path / 'labels.txt'}", "--from-logits"]
    assert export.run([str(model), base, "--image=picture_bytes=p:4x4", "--image_scale=0.5", "--json", *examples]) == OK
    default, classify = json.loads(capsys.readouterr().out)["model"]["signatures"]
    assert [(each["alias"], each["dtype"]) for each in default["inputs"]] == [("picture_bytes", "string")]
    assert (classify["method"], classify["features"][0]["shape"]) == ("classify", [4, 4, 3])
    assert export.run([str(model), base, "--image=p:large"]) == USAGE
    assert "large is no size; write such as :224x224" in capsys.readouterr().err
    assert export.run([str(model), base, "--text=p"]) == USAGE
    assert "names no vocabulary" in capsys.readouterr().err
    (tmp_path / "features.json").write_text("[]")
    assert export.run([str(model), base, *examples]) == USAGE
    assert "must be an object of features" in capsys.readouterr().err
    assert len(list((tmp_path / "mine").iterdir())) == 1


def test_mistakes(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, base = str(models / "half_plus_two"), str(tmp_path / "mine")
    assert export.run([model, base, "--quantise=int8"]) == USAGE
    assert "unknown argument: --quantise=int8; did you mean --quantize?" in capsys.readouterr().err
    assert export.run([model, base, "--input=a=b"]) == USAGE
    assert "there is no input b; the model's inputs are: x" in capsys.readouterr().err
    assert export.run([str(tmp_path / "none.keras"), base]) == FAILURE
    assert "No such file or directory" in capsys.readouterr().err
    (tmp_path / "notes.txt").touch()
    assert export.run([str(tmp_path / "notes.txt"), base]) == USAGE
    assert "is neither a .keras, .h5, .hdf5 file of Keras nor the folder" in capsys.readouterr().err
    (tmp_path / "broken.keras").write_bytes(b"no model")
    assert export.run([str(tmp_path / "broken.keras"), base]) == USAGE
    assert "is no model that Keras" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing(models: Path, tmp_path: Path) -> None:
    """No file may become larger than what is left, which is how a full disk looks from here."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    base = tmp_path / "mine"
    command = [sys.executable, "-m", "tensorserve", "export", str(models / "half_plus_two"), str(base)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == FAILURE
    assert done.stderr.startswith("tensorserve export: "), "TensorFlow's greetings are kept away"
    assert "Traceback" not in done.stderr
    assert not base.exists()
