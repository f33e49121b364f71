# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run in a Pod: ask URL for an answer of MODEL until it comes from REGION, and tell how long that took."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request

PATIENCE = 1500.0


def ask(url: str, model: str) -> str:
    """The region that answered; what went wrong, in parentheses, when none did."""
    body = json.dumps({"model": model, "prompt": "Say where you are.", "max_tokens": 8}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.headers.get("x-serving-region"))
    except (urllib.error.URLError, OSError) as error:
        return f"({error})"


def main(url: str, model: str, region: str) -> int:
    began, last = time.monotonic(), ""
    while time.monotonic() - began < PATIENCE:
        found = ask(url, model)
        if found != last:
            print(f"{time.monotonic() - began:.1f} s: {found}", flush=True)
        if found == region:
            return 0
        last = found
        time.sleep(1)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
