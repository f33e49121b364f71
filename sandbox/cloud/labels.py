# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels of resources. https://cloud.google.com/resource-manager/docs/labels-overview#requirements"""

from __future__ import annotations

import re
from collections.abc import Mapping

MOST = 64
LONGEST = 63  # characters
KEY = re.compile(r"[^\W\d_A-Z](?:[^\WA-Z]|-)*")
VALUE = re.compile(r"(?:[^\WA-Z]|-)*")
LETTERS = (
    "can only contain lowercase letters, numeric characters, underscores and dashes. The {} can be at most "
    f"{LONGEST} characters long. International characters are allowed."
)


def fault(labels: Mapping[str, str]) -> str:
    """What is wrong with them, in compute's words; "" for nothing."""
    if len(labels) > MOST:
        return f"Label map cannot have more than {MOST} elements."
    for key, value in labels.items():
        if len(key) > LONGEST or not KEY.fullmatch(key):
            why = "The key must start with a lowercase character, " + LETTERS.format("key")
            return f"Label key '{key}' violates format constraints. {why}"
        if len(value) > LONGEST or not VALUE.fullmatch(value):
            return f"Label value '{value}' violates format constraints. The value {LETTERS.format('value')}"
    return ""
