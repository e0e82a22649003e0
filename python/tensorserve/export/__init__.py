# SPDX-License-Identifier: Apache-2.0
"""Makes a version that a server can serve out of a trained model: named inputs and outputs, checked, published at once.

```python
from tensorserve.export import export

print(export(model, "/models/digits", inputs={"image": "pixels"}, outputs=["probabilities"]))
```

`export` is the way in and `exporter` the file to read first: a `Computation` is what a model computes (`computation`,
`keras_models`, `functions`), signatures are ways to ask it (`signatures`, `estimators`, `preprocessing`), a
`Publication` puts the version into its place (`publication`). TensorFlow and Keras are imported when they are needed,
which is why the command line may import this package. May import `inspect` (for the summary), `warmup`, `protos`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorserve.export.estimators import (
        FromReceiver,
        ServingInputReceiver,
        build_parsing_serving_input_receiver_fn,
        build_raw_serving_input_receiver_fn,
    )
    from tensorserve.export.exporter import export
    from tensorserve.export.preprocessing import ImageBytes, WordPieces
    from tensorserve.export.result import ExportedVersion
    from tensorserve.export.signatures import Classify, Predict, Regress

__all__ = [
    "Classify",
    "ExportedVersion",
    "FromReceiver",
    "ImageBytes",
    "Predict",
    "Regress",
    "ServingInputReceiver",
    "WordPieces",
    "build_parsing_serving_input_receiver_fn",
    "build_raw_serving_input_receiver_fn",
    "export",
]

_HOMES = {
    "Classify": "signatures",
    "ExportedVersion": "result",
    "FromReceiver": "estimators",
    "ImageBytes": "preprocessing",
    "Predict": "signatures",
    "Regress": "signatures",
    "ServingInputReceiver": "estimators",
    "WordPieces": "preprocessing",
    "build_parsing_serving_input_receiver_fn": "estimators",
    "build_raw_serving_input_receiver_fn": "estimators",
    "export": "exporter",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
