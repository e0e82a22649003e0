# SPDX-License-Identifier: Apache-2.0
"""Models as the admin API's JSON, in both directions. The names are those of `tensorflow.serving.ModelConfig`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.services.catalog import ModelReport
from tensorserve.services.model_states import VersionReport
from tensorserve.services.reload_plan import ReloadPlan
from tensorserve.types import All, Latest, ModelConfig, Specific, VersionPolicy

_FIELDS = frozenset({"name", "base_path", "model_platform", "model_version_policy", "version_labels"})
_INT64 = 2**63


def report_json(report: ModelReport) -> dict[str, Any]:
    """A model and how it does."""
    config, state = report.config, report.state
    wanted = config.version_labels
    return {
        "name": config.name,
        "base_path": config.base_path,
        "model_platform": config.platform,
        "model_version_policy": policy_json(config.policy),
        "version_labels": dict(report.labels),
        "pending_version_labels": {name: v for name, v in wanted.items() if report.labels.get(name) != v},
        "origin": report.origin.value,
        "ready": state.is_ready,
        "problem": state.problem and str(state.problem),
        "versions": [_version_json(version, state.aspired or frozenset()) for version in state.versions],
        "not_loaded": [{"version": v, "reason": reason} for v, reason in sorted(_not_loaded(report), reverse=True)],
    }


def _not_loaded(report: ModelReport) -> Iterator[tuple[int, str]]:
    yield from report.state.incomplete.items()
    policy = report.config.policy
    if isinstance(policy, Specific):
        for version in report.state.left_out - set(policy.versions):
            yield version, f"version {version} is not in the policy {policy}"


def plan_json(plan: ReloadPlan | None) -> dict[str, Any]:
    """What a change did."""
    plan = plan or ReloadPlan({})
    return {
        "added": list(plan.added),
        "removed": list(plan.removed),
        "changed": list(plan.changed),
        "lost_labels": {
            name: {label: {"before": lost.before, "after": lost.after} for label, lost in labels.items()}
            for name, labels in plan.lost_labels.items()
        },
    }


def policy_json(policy: VersionPolicy) -> dict[str, Any]:
    """A version policy in the form of protobuf's JSON."""
    if isinstance(policy, Latest):
        return {"latest": {"num_versions": policy.num_versions}}
    return {"all": {}} if isinstance(policy, All) else {"specific": {"versions": list(policy.versions)}}


def model_from_json(name: str, fields: Mapping[str, Any], current: ModelConfig | None) -> ModelConfig:
    """The configuration that a client asks for; what it leaves out stays as it is.

    Raises:
        ServingError: INVALID_ARGUMENT: which field is wrong.
    """
    if unknown := fields.keys() - _FIELDS:
        raise _invalid(f"unknown field {min(unknown)!r}; there are {', '.join(sorted(_FIELDS))}")
    if fields.get("name", name) != name:
        raise _invalid("name differs from the one in the URL")
    model = current or ModelConfig(name, "")
    if "base_path" in fields:
        model = replace(model, base_path=_text(fields, "base_path"))
    if "model_platform" in fields:
        model = replace(model, platform=_text(fields, "model_platform"))
    if "model_version_policy" in fields:
        model = replace(model, policy=policy_from_json(fields["model_version_policy"]))
    if "version_labels" in fields:
        model = replace(model, version_labels=labels_from_json(fields["version_labels"]))
    return model


def policy_from_json(value: Any) -> VersionPolicy:
    """A version policy, as `policy_json` writes it. Raises ServingError (INVALID_ARGUMENT)."""
    if not isinstance(value, dict) or len(value) != 1:
        raise _invalid('model_version_policy must be {"latest": {...}}, {"all": {}} or {"specific": {...}}')
    [(kind, details)] = value.items()
    if kind not in ("latest", "all", "specific") or not isinstance(details, dict):
        raise _invalid('model_version_policy must be {"latest": {...}}, {"all": {}} or {"specific": {...}}')
    if kind == "all":
        return All()
    if kind == "specific":
        versions = details.get("versions", [])
        if not isinstance(versions, list):
            raise _invalid("versions must be a list")
        return Specific(tuple(version_number(version) for version in versions))
    return Latest(min(max(version_number(details.get("num_versions", 1)), 0), 2**32 - 1) or 1)


def labels_from_json(value: Any) -> Mapping[str, int]:
    """Version labels. Raises ServingError (INVALID_ARGUMENT)."""
    if not isinstance(value, dict):
        raise _invalid('version_labels must be an object, such as {"stable": 1}')
    return MappingProxyType({label: version_number(version) for label, version in value.items()})


def version_number(value: Any) -> int:
    """A 64 bit number, or a text of one, as protobuf's JSON has it. Raises ServingError (INVALID_ARGUMENT)."""
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or not -_INT64 <= number < _INT64:
        raise _invalid(f"{value!r} is no version number")
    return number


def _version_json(version: VersionReport, aspired: frozenset[int]) -> dict[str, Any]:
    return {
        "version": version.version,
        "state": version.state.name,
        "since": datetime.fromtimestamp(version.since, timezone.utc).isoformat(timespec="milliseconds"),
        "aspired": version.version in aspired,
        "attempts": version.attempts,
        "error": version.error and str(version.error),
    }


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise _invalid(f"{name} must be a string")
    return value


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, f"{message[:1].upper()}{message[1:]}.")
