# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics that vLLM exposes under the same names, in Prometheus' text format."""

from __future__ import annotations

import bisect

_SHORT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
_BETWEEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
_LONG = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0)
_COUNTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0, 50000.0)

FINISHED = ("stop", "length", "abort")


class Histogram:
    """Observations counted per bucket."""

    def __init__(self, help_text: str, bounds: tuple[float, ...]) -> None:
        self.help_text = help_text
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: str) -> list[str]:
        lines = []
        total = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {total}')
        return [*lines, f"{name}_count{{{labels}}} {total}", f"{name}_sum{{{labels}}} {self._sum}"]


class Metrics:
    """Counted by the engine, read by /metrics."""

    def __init__(self, model: str) -> None:
        escaped = model.replace("\\", "\\\\").replace('"', '\\"')
        self._labels = f'engine="0",model_name="{escaped}"'
        self.running = 0
        self.waiting = 0
        self.kv_cache_usage = 0.0
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.finished = dict.fromkeys(FINISHED, 0)
        self.histograms = {
            "time_to_first_token_seconds": Histogram("Time to the first token in seconds.", _SHORT),
            "inter_token_latency_seconds": Histogram("Time between tokens in seconds.", _BETWEEN),
            "e2e_request_latency_seconds": Histogram("Time of whole requests in seconds.", _LONG),
            "request_queue_time_seconds": Histogram("Time spent waiting in seconds.", _LONG),
            "iteration_tokens_total": Histogram("Tokens of one step of the engine.", _COUNTS),
            "request_prompt_tokens": Histogram("Tokens of prompts.", _COUNTS),
            "request_generation_tokens": Histogram("Tokens generated per request.", _COUNTS),
        }

    def observe(self, name: str, value: float) -> None:
        self.histograms[name].observe(value)

    def expose(self) -> str:
        lines: list[str] = []
        for name, help_text, gauge in (
            ("num_requests_running", "Requests being answered.", self.running),
            ("num_requests_waiting", "Requests waiting to be answered.", self.waiting),
            ("kv_cache_usage_perc", "Usage of the KV cache; 1 is full.", self.kv_cache_usage),
        ):
            lines += _family(name, "gauge", help_text, [f"vllm:{name}{{{self._labels}}} {float(gauge)}"])
        for name, help_text, counter in (
            ("prompt_tokens", "Tokens of prompts processed.", self.prompt_tokens),
            ("generation_tokens", "Tokens generated.", self.generation_tokens),
        ):
            lines += _family(name, "counter", help_text, [f"vllm:{name}_total{{{self._labels}}} {float(counter)}"])
        successes = [
            f'vllm:request_success_total{{{self._labels},finished_reason="{reason}"}} {float(count)}'
            for reason, count in self.finished.items()
        ]
        lines += _family("request_success", "counter", "Requests answered.", successes)
        for name, histogram in self.histograms.items():
            lines += _family(name, "histogram", histogram.help_text, histogram.lines(f"vllm:{name}", self._labels))
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, help_text: str, samples: list[str]) -> list[str]:
    name += "_total" if kind == "counter" else ""
    return [f"# HELP vllm:{name} {help_text}", f"# TYPE vllm:{name} {kind}", *samples]
