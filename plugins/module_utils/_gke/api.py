# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""The container API for the modules: JSON in and out, every request through the one transport and the one waiter."""

from __future__ import annotations

import typing as t

from .._errors import ApiError
from .._gcp.connect import Gcp
from .._gcp.operations import progress_of, retry_while, wait_operation
from .._gcp.transport import is_busy, is_stale, persist, translated
from .._wait import wait_for
from .explain import state_text
from .fields import UNSETTLED
from .messages import from_message, to_message

Json = dict[str, t.Any]

REQUEST_TIMEOUT = 90.0  # seconds of one request


def location_of(target: str) -> str:
    """The zone or region in the path of a cluster or node pool."""
    return target.partition("/clusters/")[0].rpartition("/")[2]


class Gke:
    """``wait`` and ``timeout`` (seconds, per operation) are the module's options."""

    def __init__(self, gcp: Gcp, *, wait: bool = True, timeout: float = 60.0) -> None:
        self._gcp = gcp
        self._client: t.Any = gcp.container()
        self.wait = wait
        self.timeout = timeout

    def read(self, method: str, body: Json) -> Json:
        """The answer of a method that changes nothing. Raises NotFound and its kin."""
        return persist(lambda: self._send(method, body), read=True)

    def find(self, method: str, name: str, key: str = "name") -> Json | None:
        """The object, or None when it is not there; a list is asked for by its ``parent``."""
        try:
            return self.read(method, {key: name})
        except ApiError as error:
            if self._gcp.is_absent(error):
                return None
            raise

    def write(
        self,
        method: str,
        body: t.Callable[[], Json],
        *,
        target: str,
        what: str,
        landed: t.Callable[[], bool] = lambda: False,
        wait: bool | None = None,
    ) -> Json:
        """Send once the object is free, wait for the operation, return it.

        ``body()`` is asked for anew before each attempt. ``landed()`` tells, after an attempt whose
        fate nobody knows, whether its effect is there though no operation runs on ``target`` any more.
        """

        def look_up() -> Json | None:
            if (operation := self.running(target)) is not None:
                return operation
            return {"name": "", "status": "DONE"} if landed() else None

        def attempt() -> Json:
            return persist(lambda: self._send(method, body()), read=False, landed=look_up)

        what = f"{what} in {location_of(target)}"
        operation = retry_while(
            lambda error: is_busy(error) or is_stale(error),
            attempt,
            timeout=self.timeout,
            what=f"{what}: another operation to end",
        )
        if self.wait if wait is None else wait:
            location = target.partition("/clusters/")[0]
            return wait_operation(
                lambda seen: self.read("get_operation", {"name": f"{location}/operations/{seen['name']}"}),
                operation,
                timeout=self.timeout,
                what=what,
            )
        return operation

    def running(self, target: str) -> Json | None:
        """The operation that is under way on this very object, if there is one."""
        location, _unused, tail = target.partition("/clusters/")
        answer = self.read("list_operations", {"parent": location})
        return next(
            (
                operation
                for operation in answer.get("operations") or []
                if operation.get("status") != "DONE" and operation.get("targetLink", "").endswith(f"/clusters/{tail}")
            ),
            None,
        )

    def settled(self, look: t.Callable[[], Json | None], *, target: str, what: str) -> Json | None:
        """The object once nothing is being done to it: what an earlier run left under way is waited for."""

        def progress(seen: Json | None) -> str:
            operation = self.running(target)
            return f"{state_text(seen)}; {progress_of(operation)}" if operation else state_text(seen)

        return wait_for(
            look,
            lambda seen: seen is None or seen.get("status") not in UNSETTLED,
            timeout=self.timeout,
            what=f"{what} in {location_of(target)} to settle",
            why=state_text,
            brief=progress,
        )

    def _send(self, method: str, body: Json) -> Json:
        name = "".join(part.title() for part in method.split("_"))
        request = to_message(f"{name}Request", body)
        with translated(method.replace("_", " ")):
            # persist() repeats what may be repeated; the SDK's own retries would multiply with it.
            answer = getattr(self._client, method)(request=request, retry=None, timeout=REQUEST_TIMEOUT)
            return from_message(answer)
