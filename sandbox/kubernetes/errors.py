# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API server says when it says no: a Kubernetes Status object as an exception."""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]


class ApiStatus(Exception):
    """A refusal: HTTP code, machine-readable reason, message for people, optional StatusDetails."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def body(self) -> Json:
        """The Status object that goes to the client."""
        status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details:
            status["details"] = self.details
        return {**status, "code": self.code}


def bad_request(message: str) -> ApiStatus:
    """400: the request itself cannot be understood."""
    return ApiStatus(400, "BadRequest", message)


def invalid(group: str, kind: str, name: str, causes: t.Sequence[str], uid: str = "") -> ApiStatus:
    """422 from validation causes of the form ``field: Invalid value: ...``, worded as kube-apiserver does."""
    qualified = f"{kind}.{group}" if group else kind
    text = causes[0] if len(causes) == 1 else "[" + ", ".join(causes) + "]"
    details: Json = {"name": name, "group": group, "kind": kind, "causes": [_cause(cause) for cause in causes]}
    if uid:
        details["uid"] = uid
    return ApiStatus(422, "Invalid", f'{qualified} "{name}" is invalid: {text}', details)


_REASONS = {
    "Required value": "FieldValueRequired",
    "Unsupported value": "FieldValueNotSupported",
    "Duplicate value": "FieldValueDuplicate",
    "Forbidden": "FieldValueForbidden",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
}


def _cause(cause: str) -> Json:
    field, _unused, message = cause.partition(": ")
    kind = message.partition(":")[0]
    return {"reason": _REASONS.get(kind, "FieldValueInvalid"), "message": message, "field": field}
