# SPDX-License-Identifier: Apache-2.0
"""Takes what looks like a secret out of a line: tokens of headers, passwords and signatures of URLs, private keys."""

import re

HIDDEN = "[hidden]"

_NAMES = r"[\w.-]*(?:token|secret|password|passwd|api[-_]?key|access[-_]?key|credential)"

# In each, group 1 stays and group 2 goes.
_PATTERNS = (
    # Authorization: Bearer ..., also as JSON or as Python writes a mapping.
    re.compile(r"(?i)(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic|token)\s+)?)([^\s'\"`,;]+)"),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)([\w.~+/=-]{8,})"),
    # https://user:password@host
    re.compile(r"(\b[a-z][a-z0-9+.-]*://)([^\s/@'\"]+)(?=@)"),
    # ?sig=..., X-Amz-Signature=..., x-api-key: ...; names of flags are none.
    re.compile(rf"(?i)((?<![\w-])(?:{_NAMES}|[\w-]*signature|sig)=)([^\s'\"&,;)\]}}]+)"),
    re.compile(rf"(?i)((?<![\w-]){_NAMES}['\"]?:\s*['\"]?)([^\s'\",;)\]}}]{{8,}})"),
    re.compile(r"()(-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$))", re.DOTALL),
)

# No pattern matches a text without one of these.
_HINT = re.compile(r"(?i)authoriz|bearer|basic|://|token|secret|passw|key|signature|credential|sig=")

# What our own texts have where a secret goes.
_PLACEHOLDERS = ("TOKEN", "Bearer", HIDDEN)


def without_secrets(text: str) -> str:
    """The text with `[hidden]` where a secret was."""
    if _HINT.search(text):
        for pattern in _PATTERNS:
            text = pattern.sub(_hide, text)
    return text


def _hide(found: "re.Match[str]") -> str:
    kept, secret = found.groups()
    return kept + (secret if secret in _PLACEHOLDERS else HIDDEN)
