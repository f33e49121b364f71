# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a kubelet asks of vLLM: `started`, does it serve; `alive`, does it get on with its work; `drain`, to end well.

A server has started when it has answered a request: its /health is good before its first compilation. It is hung when
work is there and no token has come for a while. How long a request takes says nothing: a saturated server is slow and
makes progress all the time.
"""

import argparse
import http.client
import json
import os
import sys
import tempfile
import time
from pathlib import Path

# Counters of vLLM that stand still only when its engine does. The last counts every step, so also the parts of a long
# prompt before its first token; an older vLLM may lack it.
PROGRESS = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:iteration_tokens_total_count")
WORK = ("vllm:num_requests_running", "vllm:num_requests_waiting")

# Seconds for one answer of the server.
ANSWER = 10

# Of the container, so that it ends with it: a server that was started again is judged anew.
MEMORY = Path(tempfile.gettempdir()) / "model_server.json"


def total(metrics, names):
    """The sum of these metrics' samples in Prometheus' text format; None when there is not one."""
    found = [line.rpartition(" ")[2] for line in metrics.splitlines() if line.split("{")[0].split(" ")[0] in names]
    return sum(map(float, found)) if found else None


def judge(last, progress, busy, now):
    """What to remember of this look: the counters' sum, and since when (seconds) work is there and they stand still.

    ``progress`` is None when the server did not answer, which tells nothing new.
    """
    if last is None or not busy or progress not in (None, last["progress"]) or now < last["since"]:
        return {"progress": last["progress"] if last and progress is None else progress, "since": now}
    return last


class Server:
    def __init__(self, port, model):
        self._port = port
        self._model = model

    def request(self, method, path, body=None):
        """(status, text), or None when there is no answer in time."""
        connection = http.client.HTTPConnection(os.environ.get("POD_IP", "127.0.0.1"), self._port, timeout=ANSWER)
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("VLLM_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        try:
            connection.request(method, path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def metrics(self):
        answer = self.request("GET", "/metrics")
        return answer and answer[1]

    def one_token(self):
        """The status of its answer when it is asked for one token; None when there is none in time."""
        answer = self.request("POST", "/v1/completions", {"model": self._model, "prompt": "a", "max_tokens": 1})
        return answer and answer[0]


def started(server):
    """Exit code 0 when it answers, be it with a refusal: it may want a key, or not be there for completions."""
    status = server.one_token()
    if status is not None and status < 500:
        return 0
    print("no answer" if status is None else f"it answers with {status}")
    return 1


def look(server, last):
    """(progress, busy) now. An engine that hangs before its first step shows no work, so an idle server gets some."""
    metrics = server.metrics()
    if metrics is None:
        return None, True
    progress = total(metrics, PROGRESS)
    if progress is None:
        return None, False  # no vLLM that we know: nothing to judge by
    if last is None or progress != last["progress"]:
        return progress, True
    return progress, bool(total(metrics, WORK)) or server.one_token() is None


def alive(server, limit):
    """Exit code 1 when no progress was seen for ``limit`` seconds although work is there."""
    try:
        last = json.loads(MEMORY.read_text())
    except (FileNotFoundError, ValueError):
        last = None
    progress, busy = look(server, last)
    now = time.monotonic()
    seen = judge(last, progress, busy, now)
    try:
        MEMORY.write_text(json.dumps(seen))
    except OSError as error:
        print(f"cannot remember what was seen: {error}")  # no reason to end a server
        return 0
    still = now - seen["since"]
    if still < limit:
        return 0
    print(f"work is there, but no token has come for {still:.0f} s (of {limit:g}); counted so far: {seen['progress']}")
    return 1


def drain(server, unlisted, limit):
    """Serve on for ``unlisted`` seconds, in which load balancers learn, then for at most ``limit`` while work is there.

    A server that does not answer serves nobody, and is not waited for.
    """
    if server.metrics() is None:
        return 0
    time.sleep(unlisted)
    end = time.monotonic() + limit
    while time.monotonic() < end and total(server.metrics() or "", WORK):
        time.sleep(0.5)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("started")
    actions.add_parser("alive").add_argument("--limit", type=float, required=True)
    draining = actions.add_parser("drain")
    draining.add_argument("--unlisted", type=float, required=True)
    draining.add_argument("--limit", type=float, required=True)
    options = parser.parse_args()
    server = Server(options.port, options.model)
    if options.action == "started":
        return started(server)
    if options.action == "alive":
        return alive(server, options.limit)
    return drain(server, options.unlisted, options.limit)


if __name__ == "__main__":
    sys.exit(main())
