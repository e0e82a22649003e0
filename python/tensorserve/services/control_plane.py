# SPDX-License-Identifier: Apache-2.0
"""What the data plane hands requests to that it cannot answer itself.

It calls from one thread that must not wait. Reloads and admin requests have threads of their own, so that one that
waits holds up no other; the data plane bounds how many there are.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from tensorserve.errors import ServingError
from tensorserve.lifecycle.workers import WorkerPool
from tensorserve.services.admin_access import AdminAccess
from tensorserve.services.admin_api import AdminApi
from tensorserve.services.admin_request import AdminReply, AdminRequest, HttpError, error_reply
from tensorserve.services.catalog import ModelCatalog
from tensorserve.services.model_service import handle_reload_config

logger = logging.getLogger(__name__)


class Reply(Protocol):
    """How one request is answered; `_core.ControlReply` is one."""

    @property
    def is_awaited(self) -> bool:
        """Whether the client still waits."""

    def send(self, body: bytes, status: int = 200, content_type: str = "application/json", /) -> None:
        """Answers."""

    def fail(self, code: int, message: str, /) -> None:
        """Answers with an error."""


class ControlPlane:
    """Answers HandleReloadConfigRequest and the admin API.

    Args:
        catalog: The models.
        api: Answers admin requests.
        access: Says who may make them.
    """

    def __init__(self, catalog: ModelCatalog, api: AdminApi, access: AdminAccess) -> None:
        self._catalog = catalog
        self._api = api
        self._access = access
        self._reloads = WorkerPool("reload", None)
        self._admin = WorkerPool("admin", None)

    def reload_config(self, request: bytes, reply: Reply) -> None:
        """Takes in a `ReloadConfigRequest`."""
        self._reloads.submit(partial(self._reload, request, reply))

    def admin(self, method: str, target: str, headers: Mapping[str, str], peer: str, body: bytes, reply: Reply) -> None:
        """Takes in a request below `/v1/admin/`."""
        request = AdminRequest(method, target, headers, peer, body, lambda: reply.is_awaited)
        self._admin.submit(partial(self._answer, request, reply))

    def stop(self) -> None:
        """Takes nothing in any more."""
        self._reloads.stop()
        self._admin.stop()

    def _reload(self, request: bytes, reply: Reply) -> None:
        try:
            reply.send(handle_reload_config(request, self._catalog, lambda: reply.is_awaited))
        except Exception as error:
            wrapped = _wrapped(error)
            reply.fail(int(wrapped.code), wrapped.message)

    def _answer(self, request: AdminRequest, reply: Reply) -> None:
        try:
            self._access.check(request)
            answer = self._api.answer(request)
        except HttpError as error:
            answer = error_reply(error)
        except Exception as error:
            answer = error_reply(_wrapped(error))
        _log(request, answer)
        reply.send(answer.body, answer.status)


def _wrapped(error: Exception) -> ServingError:
    if not isinstance(error, ServingError):
        logger.exception("A request to the control plane failed")
    return ServingError.wrap(error)


def _log(request: AdminRequest, answer: AdminReply) -> None:
    log: Callable[..., None] = logger.info if request.is_write else logger.debug
    log("Admin request %s %s (%s): %d", request.method, request.target, request.peer, answer.status)
