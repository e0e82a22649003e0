# SPDX-License-Identifier: Apache-2.0
"""What the data plane hands requests to that it cannot answer itself.

It calls from one thread that must not wait. Reloads and admin requests have threads of their own, so that one that
waits holds up no other; the data plane bounds how many there are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tensorserve.errors import Code, ServingError
from tensorserve.lifecycle.workers import Job, WorkerPool
from tensorserve.log import about
from tensorserve.services.catalog import ModelCatalog
from tensorserve.services.model_service import handle_reload_config

if TYPE_CHECKING:
    # Most servers are never asked, and start faster without it.
    from tensorserve.services.admin_service import AdminService

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
        admin_service: Gives what answers admin requests.
        check_reload: Raises ServingError for who may not reload, by headers and peer.
    """

    def __init__(
        self,
        catalog: ModelCatalog,
        admin_service: Callable[[], AdminService],
        check_reload: Callable[[Mapping[str, str], str], None] = lambda headers, peer: None,
    ) -> None:
        self._catalog = catalog
        self._admin_service = admin_service
        self._check_reload = check_reload
        self._reloads = WorkerPool("reload", None)
        self._admin = WorkerPool("admin", None)

    def reload_config(self, request: bytes, headers: Mapping[str, str], peer: str, reply: Reply) -> None:
        """Takes in a `ReloadConfigRequest`."""
        self._submit(self._reloads, partial(self._reload, request, headers, peer, reply), reply)

    def admin(self, method: str, target: str, headers: Mapping[str, str], peer: str, body: bytes, reply: Reply) -> None:
        """Takes in a request below `/v1/admin/`."""
        self._submit(self._admin, partial(self._answer, (method, target, headers, peer, body), reply), reply)

    def stop(self) -> None:
        """Takes nothing in any more."""
        self._reloads.stop()
        self._admin.stop()

    @staticmethod
    def _submit(pool: WorkerPool, job: Job, reply: Reply) -> None:
        try:
            pool.submit(job)
        except ServingError as error:  # There is no thread for it.
            reply.fail(int(error.code), error.message)

    def _reload(self, request: bytes, headers: Mapping[str, str], peer: str, reply: Reply) -> None:
        try:
            self._check_reload(headers, peer)
        except ServingError as error:
            logger.warning(
                "A request to reload the configuration (%s) is refused: %s",
                peer,
                error.message,
                extra=about(kind="reload refused"),
            )
            reply.fail(int(error.code), error.message)
            return
        try:
            reply.send(handle_reload_config(request, self._catalog, lambda: reply.is_awaited))
        except ServingError as error:
            reply.fail(int(error.code), error.message)
        except Exception as error:
            logger.exception("A request to reload the configuration failed")
            reply.fail(int(Code.INTERNAL), f"{type(error).__name__}: {error}")

    def _answer(self, parts: tuple[str, str, Mapping[str, str], str, bytes], reply: Reply) -> None:
        from tensorserve.services.admin_request import AdminRequest

        answer = self._admin_service().answer(AdminRequest(*parts, lambda: reply.is_awaited))
        reply.send(answer.body, answer.status)
