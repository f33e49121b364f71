# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`python -m sandbox start|stop|status|fault|logs`: a Google Cloud on loopback."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

from .catalogue.quotas import BadQuotas, Quotas
from .faults import KINDS
from .faults.describe import help_text, manual
from .latency import DEFAULT_SCALE
from .state import StateDirectory, default_directory

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


def main(arguments: list[str] | None = None, program: str = "sandbox") -> int:
    """``program``: the module that `start` runs to serve."""
    options = parser(program).parse_args(arguments)
    state = StateDirectory(options.state_dir)
    command: t.Callable[[StateDirectory, argparse.Namespace], int] = options.command
    return command(state, options)


def parser(program: str = "sandbox") -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m {program}", description="A Google Cloud on loopback.")
    made.set_defaults(program=program)
    made.add_argument(
        "--state-dir", type=Path, default=default_directory(), help="where the sandbox lives (default: %(default)s)"
    )
    commands = made.add_subparsers(required=True, metavar="start|stop|status|fault|logs")
    for name, command, text in (
        ("start", start, "start it, or do nothing when it runs; returns when it is ready"),
        ("serve", serve, "run it in the foreground"),
    ):
        sub = commands.add_parser(name, help=text)
        sub.set_defaults(command=command)
        sub.add_argument("--project", default="sandbox-project", help="project ID (default: %(default)s)")
        sub.add_argument(
            "--latency-scale",
            type=_scale,
            default=DEFAULT_SCALE,
            help="1.0 is what Google takes, e.g. 8 minutes for a cluster (default: %(default)s)",
        )
        sub.add_argument(
            "--quota",
            type=_quotas,
            metavar="FILE",
            help='the project\'s quotas as JSON, e.g. {"us-east5": {"TPUS_PER_TPU_FAMILY:CT6E": 4}, "*": {"CPUS": 64}}',
        )
    sub = commands.add_parser("stop", help="stop it and every process it started")
    sub.set_defaults(command=stop)
    sub = commands.add_parser("status", help="what runs, and how to reach it; exit code 3 when nothing runs")
    sub.set_defaults(command=status)
    sub.add_argument("--json", action="store_true", help="everything, with the token and kubeconfig paths")
    _add_fault_parsers(commands.add_parser("fault", help="make things go wrong as they do in life"))
    sub = commands.add_parser("logs", help="the server's log, or the logs of containers")
    sub.set_defaults(command=logs)
    sub.add_argument("name", nargs="?", default="", help="part of a Pod's name")
    return made


def _add_fault_parsers(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="add|list|clear|kinds")
    add = commands.add_parser(
        "add",
        help="a fault from now on",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"kinds:\n{help_text()}",
    )
    add.set_defaults(command=add_fault)
    add.add_argument("kind", choices=KINDS, metavar="KIND", help="what goes wrong")
    add.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="settings of the kind")
    for name, text in (
        ("service", "compute, container, gkehub, iam, storage, serviceusage, cloudresourcemanager or kubernetes"),
        ("method", "the HTTP verb"),
        ("resource", "pattern of a path, an operation's target or a name, as the kind says, e.g. 'inference/gemma-*'"),
        ("location", "a region, with its zones, or a zone"),
    ):
        add.add_argument(f"--{name}", default="", help=f"only there: {text}")
    add.add_argument("--times", type=int, help="for so many of what the kind counts (default: all)")
    add.add_argument("--seconds", type=float, help="for so long (default: until cleared)")
    add.add_argument("--share", type=float, help="of what the kind counts, 0 to 1 (default: 1)")
    add.add_argument("--seed", type=int, help="which of them; the same seed hits the same ones (default: 0)")
    sub = commands.add_parser("list", help="the faults in force")
    sub.set_defaults(command=list_faults)
    sub.add_argument("--json", action="store_true", help="all there is to know of them")
    sub = commands.add_parser("clear", help="take back one fault, or all")
    sub.set_defaults(command=clear_faults)
    sub.add_argument("name", nargs="?", default="", help="as `fault add` printed it; all when left out")
    sub = commands.add_parser("kinds", help="all there is to know of the kinds, as docs/faults.md has it")
    sub.set_defaults(command=describe_kinds)


def describe_kinds(_state: StateDirectory, _options: argparse.Namespace) -> int:
    print(manual(), end="")
    return 0


def add_fault(state: StateDirectory, options: argparse.Namespace) -> int:
    strange = [word for word in options.settings if "=" not in word]
    if strange:
        print(f"{strange[0]!r} is no NAME=VALUE", file=sys.stderr)
        return 2
    return _faults(state, "POST", "", wanted_fault(options), lambda answer: print(answer["name"]))


def wanted_fault(options: argparse.Namespace) -> dict[str, t.Any]:
    """The JSON of the fault that the command line asks for."""
    wanted: dict[str, t.Any] = {"kind": options.kind, "settings": dict(word.split("=", 1) for word in options.settings)}
    named = ("service", "method", "resource", "location", "times", "seconds", "share", "seed")
    return wanted | {name: value for name in named if (value := getattr(options, name)) not in (None, "")}


def list_faults(state: StateDirectory, options: argparse.Namespace) -> int:
    def show(faults: t.Any) -> None:
        if options.json:
            print(json.dumps(faults, indent=2))
            return
        for fault in faults or []:
            where = " ".join(f"{key}={value}" for key, value in {**fault["place"], **fault["settings"]}.items())
            print(f"{fault['name']:18} {where}  hit {fault['hits']}")
        if not faults:
            print("no fault is in force")

    return _faults(state, "GET", "", None, show)


def clear_faults(state: StateDirectory, options: argparse.Namespace) -> int:
    name = f"/{options.name}" if options.name else ""
    return _faults(state, "DELETE", name, None, lambda answer: print(f"{answer['cleared']} cleared"))


def _faults(state: StateDirectory, method: str, path: str, body: t.Any, show: t.Callable[[t.Any], None]) -> int:
    known = state.read_status()
    if known is None:
        print("the sandbox is not running", file=sys.stderr)
        return 3
    try:
        show(_ask(known, f"faults{path}", method, body))
    except urllib.error.HTTPError as error:
        print(json.load(error)["error"], file=sys.stderr)
        return 2
    return 0


def _scale(text: str) -> float:
    scale = float(text)
    if not 0 < scale <= 10:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 10")
    return scale


def _quotas(text: str) -> Path:
    try:
        Quotas.read(Path(text))
    except (OSError, BadQuotas) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(text).resolve()


def start(state: StateDirectory, options: argparse.Namespace) -> int:
    state.create()
    if not state.running():
        state.status_file.unlink(missing_ok=True)
        process = _spawn(state, options)
        deadline = time.monotonic() + START_TIMEOUT
        while not state.status_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                print(f"the sandbox did not start; the end of {state.log_file}:", file=sys.stderr)
                print("\n".join(state.log_file.read_text().splitlines()[-20:]), file=sys.stderr)
                return 1
            time.sleep(0.05)
    return status(state, argparse.Namespace(json=False))


def _spawn(state: StateDirectory, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", options.program, "--state-dir", str(state.path), "serve"]
    command += ["--project", options.project, "--latency-scale", str(options.latency_scale)]
    command += ["--quota", str(options.quota)] if options.quota else []
    root = Path(__file__).resolve().parent.parent
    with open(os.open(state.log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
        # Its own session: Ctrl-C in the shell that started it must not end it.
        return subprocess.Popen(
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def serve(state: StateDirectory, options: argparse.Namespace) -> int:
    from .server import serve as serve_here

    state.create()
    serve_here(state, options.project, options.latency_scale, Quotas.read(options.quota) if options.quota else Quotas())
    return 0


def stop(state: StateDirectory, options: argparse.Namespace) -> int:
    known = state.read_status()
    if known is None:
        print("the sandbox is not running")
        return 0
    os.kill(known["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while state.running():
        if time.monotonic() > deadline:
            print(f"the sandbox (pid {known['pid']}) did not stop within {STOP_TIMEOUT:g} s", file=sys.stderr)
            return 1
        time.sleep(0.05)
    print("the sandbox has stopped")
    return 0


def status(state: StateDirectory, options: argparse.Namespace) -> int:
    known = state.read_status()
    if known is None:
        print(json.dumps({"state": "stopped"}) if options.json else "the sandbox is not running")
        return 3
    live = _ask(known, "status")
    if options.json:
        print(json.dumps(live, indent=2))
        return 0
    print(f"sandbox    running, pid {live['pid']}, {live['latency_scale']:g} of Google's latencies")
    print(f"project    {live['project']} ({live['project_number']})")
    print(f"addresses  {live['block']}, state in {live['state_dir']}")
    for name, cluster in live["clusters"].items():
        print(f"cluster    {name}: https://{cluster['endpoint']}, KUBECONFIG={cluster['kubeconfig']}")
    for listener in live["listeners"]:
        print(f"gateway    {listener['gateway']} in {listener['region']}: {listener['url']}")
    return 0


def _ask(known: dict[str, t.Any], what: str, method: str = "GET", body: t.Any = None) -> t.Any:
    root = known["endpoints"]["container"].removesuffix("container/")
    request = urllib.request.Request(
        f"{root}sandbox/{what}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {known['token']}"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def logs(state: StateDirectory, options: argparse.Namespace) -> int:
    files = [state.log_file]
    if options.name:
        found = sorted((state.path / "clusters").glob("*/*/logs/*/*/*.log"))
        files = [file for file in found if options.name in str(file.parent.name)]
        if not files:
            print(f"no container log matches {options.name!r}; there are:", file=sys.stderr)
            print("\n".join(sorted({file.parent.name for file in found})), file=sys.stderr)
            return 1
    for file in files:
        if len(files) > 1:
            print(f"==> {file.relative_to(state.path)}")
        print(file.read_text(encoding="utf-8", errors="replace"), end="")
    return 0
