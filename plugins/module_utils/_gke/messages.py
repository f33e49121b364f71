# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""API JSON (camelCase, enum names) <-> messages of google-cloud-container."""

from __future__ import annotations

import json
import typing as t

from .._errors import CollectionError

try:
    from google.cloud import container_v1
    from google.protobuf.json_format import ParseError
except ImportError:  # connect() reports it before any message is made
    container_v1 = None  # type: ignore[assignment]

    class ParseError(Exception):  # type: ignore[no-redef]
        pass


Json = dict[str, t.Any]


def to_message(kind: str, body: Json) -> t.Any:
    """A container_v1 message. Raises CollectionError for a value that its field cannot hold."""
    try:
        return getattr(container_v1, kind).from_json(json.dumps(body))
    except ParseError as error:
        reason = str(error).partition("\n")[0]  # the rest lists every field there is
        raise CollectionError(f"the API does not take these options: {reason}") from error


def from_message(message: t.Any) -> Json:
    """Only what is set, as the REST API answers it; int64 as strings."""
    text = type(message).to_json(
        message,
        use_integers_for_enums=False,
        always_print_fields_with_no_presence=False,
        preserving_proto_field_name=False,
    )
    return t.cast(Json, json.loads(text))
