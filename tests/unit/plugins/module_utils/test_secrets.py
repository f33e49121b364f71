# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret that cannot be a header: the judge is the HTTP client that would have to send it."""

from __future__ import annotations

import http.client

import pytest
from ansible_collections.aiserving.gke.plugins.module_utils._errors import InvalidOption
from ansible_collections.aiserving.gke.plugins.module_utils._secrets import check_header_secret
from hypothesis import given
from hypothesis import strategies as st

SECRET = "ya29.s3cr3t-value"


def sendable(value: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1")
    connection.putrequest("GET", "/")
    try:
        connection.putheader("authorization", f"Bearer {value}")
    except ValueError:
        return False
    return True


@given(st.text())
def test_what_passes_can_be_sent(value: str) -> None:
    try:
        check_header_secret("access_token", value)
    except InvalidOption:
        return
    assert sendable(value)


@given(st.text("abcABC019-._~+/=", min_size=1))
def test_every_bearer_token_of_rfc_6750_passes(value: str) -> None:
    assert check_header_secret("access_token", value) == value


@pytest.mark.parametrize("wrong", [SECRET + "\r", SECRET + "\r\n", "\n" + SECRET, "a\n" + SECRET, SECRET + "\u00e9"])
def test_a_refused_secret_is_not_shown(wrong: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        check_header_secret("access_token", wrong)
    assert SECRET not in f"{refused.value} {refused.value.details} {refused.value.args}"
    assert refused.value.message.startswith("access_token: ")
