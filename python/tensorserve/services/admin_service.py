# SPDX-License-Identifier: Apache-2.0
"""One request of the admin API from beginning to end: let in, answered, logged."""

import logging
from collections.abc import Callable

from tensorserve.errors import ServingError
from tensorserve.log import about
from tensorserve.services.admin_access import AdminAccess
from tensorserve.services.admin_api import AdminApi, Reloader
from tensorserve.services.admin_request import AdminReply, AdminRequest, HttpError, error_reply
from tensorserve.services.catalog import ModelCatalog

logger = logging.getLogger(__name__)


class AdminService:
    """Answers requests below `/v1/admin/`.

    Args:
        api: Does what they ask for.
        access: Says who may ask.
    """

    def __init__(self, api: AdminApi, access: AdminAccess) -> None:
        self._api = api
        self._access = access

    @classmethod
    def open(
        cls,
        access: AdminAccess,
        catalog: ModelCatalog,
        reloader: Reloader,
        batching_report: Callable[[str], str],
    ) -> "AdminService":
        """The service for the models of a catalog."""
        return cls(AdminApi(catalog, reloader, batching_report), access)

    def answer(self, request: AdminRequest) -> AdminReply:
        """Gives the reply, which may be an error."""
        try:
            self._access.check(request)
            reply = self._api.answer(request)
        except (ServingError, HttpError) as error:
            reply = error_reply(error)
        except Exception as error:
            logger.exception("The admin request %s %s failed", request.method, request.target)
            reply = error_reply(error)
        level = logging.INFO if request.is_write else logging.DEBUG
        # Those that are refused may be many, each for another model.
        kind = f"admin request {reply.status}" if reply.status >= 400 else ""
        text = "Admin request %s %s (%s): %d"
        logger.log(level, text, request.method, request.target, request.peer, reply.status, extra=about(kind=kind))
        return reply
