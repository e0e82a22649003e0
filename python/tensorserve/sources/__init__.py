# SPDX-License-Identifier: Apache-2.0
"""Where versions come from.

A source watches some storage and says, for each model, the complete list of versions that should be served (the
*aspired* versions). It never says what to do about them: that is `lifecycle`. `source` has the interface and is the
first file to read; `file_system` polls, `watch` is one model's part of it, `acceptance` and `completeness` keep half
copies out, `object_store` and `model_cache` do the same with URLs. Depends on `lifecycle.events`, `lifecycle.loader`,
`config`, `types` and `errors`.
"""
