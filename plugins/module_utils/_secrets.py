# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This module util is PRIVATE to the collection: it may change in any release.

"""Secrets that travel in HTTP headers: what cannot is refused here, since an HTTP library's refusal quotes it.

Ansible masks a secret by its own text. In a quotation a line break becomes two other characters,
so nothing masks it there.
"""

from __future__ import annotations

import re

from ._errors import InvalidOption

HIDDEN = "(hidden)"  # stands in messages where the value of other options stands

_VISIBLE = re.compile(r"[\x21-\x7e]+")


def check_header_secret(option: str, secret: str) -> str:
    """The token or key itself, once it can be a header's value. Raises InvalidOption, which does not show it.

    ``option``: what the user must mend, such as "access_token" or "kubeconfig".
    """
    if _VISIBLE.fullmatch(secret):
        return secret
    if _VISIBLE.fullmatch(secret.strip()):
        raise InvalidOption(option, HIDDEN, "remove the blank or line break at its beginning or end")
    raise InvalidOption(
        option, HIDDEN, "give one line of visible ASCII characters without blanks, as an HTTP header takes"
    )
