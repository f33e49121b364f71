# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors as Google's APIs answer them: one refusal, three spellings of its body.

``apps`` (compute, storage) has ``errors`` and no ``status``; ``both`` (container, iam) has both;
``plain`` (gkehub, serviceusage, cloudresourcemanager) has ``status`` only.
"""

from __future__ import annotations

import typing as t

from ..interfaces import Json

Style = t.Literal["apps", "both", "plain"]

# Canonical status -> HTTP code and the reason that the ``errors`` list carries unless a refusal names its own.
STATUSES: dict[str, tuple[int, str]] = {
    "INVALID_ARGUMENT": (400, "badRequest"),
    "FAILED_PRECONDITION": (400, "failedPrecondition"),
    "OUT_OF_RANGE": (400, "outOfRange"),
    "UNAUTHENTICATED": (401, "authError"),
    "PERMISSION_DENIED": (403, "forbidden"),
    "NOT_FOUND": (404, "notFound"),
    "METHOD_NOT_ALLOWED": (405, "httpMethodNotAllowed"),
    "ABORTED": (409, "aborted"),
    "ALREADY_EXISTS": (409, "alreadyExists"),
    "CONFLICT": (409, "conflict"),
    "CONDITION_NOT_MET": (412, "conditionNotMet"),
    "PAYLOAD_TOO_LARGE": (413, "uploadTooLarge"),
    "RESOURCE_EXHAUSTED": (429, "rateLimitExceeded"),
    "INTERNAL": (500, "backendError"),
    "UNIMPLEMENTED": (501, "notImplemented"),
    "UNAVAILABLE": (503, "backendError"),
}

# What google.rpc.Code knows; the others above are HTTP's and appear only in the ``apps`` style.
CANONICAL = {
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}


class Refusal(Exception):
    """A request (or a running operation) that Google would refuse; ``status`` is a key of STATUSES."""

    def __init__(
        self, status: str, message: str, *, reason: str = "", domain: str = "global", details: list[Json] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code, usual = STATUSES[status]
        self.reason = reason or usual
        self.domain = domain
        self.details = details

    def body(self, style: Style) -> Json:
        """The JSON body of the answer."""
        error: Json = {"code": self.code, "message": self.message}
        if style != "plain":
            error["errors"] = [{"message": self.message, "domain": self.domain, "reason": self.reason}]
        if style != "apps" or self.details:
            error["status"] = self.status if self.status in CANONICAL else "INVALID_ARGUMENT"
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def rpc_status(self) -> Json:
        """The google.rpc.Status that a failed operation carries."""
        return {"code": CANONICAL.get(self.status, 2), "message": self.message}


def not_found(message: str) -> Refusal:
    return Refusal("NOT_FOUND", message)


def invalid(message: str, *, reason: str = "") -> Refusal:
    return Refusal("INVALID_ARGUMENT", message, reason=reason)


def precondition(message: str) -> Refusal:
    return Refusal("FAILED_PRECONDITION", message)


def no_permission(message: str = "The caller does not have permission") -> Refusal:
    return Refusal("PERMISSION_DENIED", message)


def lacking(what: str) -> Refusal:
    """What Google has and this sandbox does not: never a 404, which clients take for a resource that is absent."""
    return Refusal("UNIMPLEMENTED", f"This sandbox does not have {what}; see docs/sandbox.md.")


def internal() -> Refusal:
    return Refusal("INTERNAL", "Internal error encountered.")


def unauthenticated() -> Refusal:
    return Refusal(
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ACCESS_TOKEN_TYPE_UNSUPPORTED",
                "domain": "googleapis.com",
            }
        ],
    )


def bad_payload(violations: list[tuple[str, str]]) -> Refusal:
    """A body that Google's JSON parser refuses; ``violations``: (field path, description)."""
    return Refusal(
        "INVALID_ARGUMENT",
        "\n".join(description for _field, description in violations),
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [
                    {"field": field, "description": description} if field else {"description": description}
                    for field, description in violations
                ],
            }
        ],
    )


def service_disabled(service: str, title: str, number: str) -> Refusal:
    """403 SERVICE_DISABLED: ``service`` (its DNS name) is not enabled in the project with this number."""
    url = f"https://console.developers.google.com/apis/api/{service}/overview?project={number}"
    return Refusal(
        "PERMISSION_DENIED",
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {url} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and "
        "retry.",
        domain="usageLimits",
        reason="accessNotConfigured",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "SERVICE_DISABLED",
                "domain": "googleapis.com",
                "metadata": {
                    "service": service,
                    "serviceTitle": title,
                    "consumer": f"projects/{number}",
                    "containerInfo": number,
                    "activationUrl": url,
                },
            },
            {
                "@type": "type.googleapis.com/google.rpc.Help",
                "links": [{"description": "Google developers console API activation", "url": url}],
            },
        ],
    )
