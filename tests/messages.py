# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The messages of google-cloud-container as a judge of GKE's requests and answers.

Which method has which path and which messages is read from that package's own client.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import typing as t

from google.api_core import path_template
from google.cloud.container_v1.services.cluster_manager.transports import rest_base
from google.protobuf import json_format

VERSIONS = ("v1", "v1beta1")
# Only v1's client knows paths; v1beta1's methods have the same.
_PATHS = rest_base._BaseClusterManagerRestTransport


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to call a method: verb, template of its path, its messages; None for an answer without one."""

    verb: str
    path: str
    request: t.Any
    answer: t.Any


@functools.cache
def methods(version: str) -> tuple[Method, ...]:
    """All that the client of this version can call. Raises AssertionError when the package is made otherwise."""
    client = importlib.import_module(f"google.cloud.container_{version}").ClusterManagerClient
    classes: list[tuple[str, t.Any]] = inspect.getmembers(_PATHS, inspect.isclass)
    calls = {_key(name.removeprefix("_Base")): call for name, call in classes if name.startswith("_Base")}
    found = []
    for name, function in inspect.getmembers(client, inspect.isfunction):
        if call := calls.get(_key(name)):
            signature = inspect.signature(function)
            request, answer = t.get_args(signature.parameters["request"].annotation)[0], signature.return_annotation
            for option in call._get_http_options():
                path = option["uri"].replace("/v1/", f"/{version}/", 1)
                found.append(Method(option["method"].upper(), path, request, answer if hasattr(answer, "pb") else None))
    assert len(found) >= len(calls) > 0, "the client of google-cloud-container is not made as it was"
    return tuple(found)


def _key(name: str) -> str:
    """GetJSONWebKeys and get_json_web_keys are the same."""
    return name.replace("_", "").lower()


@functools.cache
def method(version: str, verb: str, path: str) -> Method | None:
    """The method that "/v1/projects/..." is of."""
    known = (one for one in methods(version) if one.verb == verb and path_template.validate(one.path, path))
    return next(known, None)


def violation(message: t.Any, value: t.Any) -> str:
    """Why Google's own message does not take this JSON value, "" when it does."""
    try:
        json_format.ParseDict(value, message.pb()(), ignore_unknown_fields=False)
    except json_format.ParseError as error:
        return str(error).splitlines()[0]  # the others list all fields
    return ""
