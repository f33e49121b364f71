# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`python -m proof NAME=VALUE...`, which `make google` calls: told, asked, made, removed."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import typing as t
from collections.abc import Sequence

from .google import Google
from .journal import Directory, Journal
from .options import HELP, Options, Refused, read
from .prices import REMOVAL, Estimate, estimate
from .run import Run, StepFailed, listed, refuse_foreign, say
from .steps import STEPS

DONE, FAILED, REFUSED, LEFT = 0, 1, 2, 3


# Of a user, a supervisor, a terminal that is gone.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """By Ctrl-C, or since the deadline has come."""


def main(words: Sequence[str]) -> int:
    if not words:
        print("make google NAME=VALUE ...")
        print("\n".join(f"  {name:10} {text}" for name, text in HELP.items()))
    try:
        options = read(words)
        price = None if options.clean else estimate(options)
        google = Google(options)
        number = google.number()
        directory = Directory(options.directory, options.project)
        with directory.locked():
            google.check_services()
            journals = directory.journals()
            refuse_foreign(google, journals)
            leftovers = [journal for journal in journals if journal.open()]
            if price is None:
                return asyncio.run(clean(options, google, number, leftovers))
            google.check_fleet(made for journal in leftovers for made in journal.made())
            tell(options, price, leftovers)
            confirm(options)
            return asyncio.run(whole(options, google, number, leftovers, directory.new(), price))
    except (Refused, KeyboardInterrupt) as error:
        print(str(error) or "stopped; make google CLEAN=1 removes what there may be", file=sys.stderr)
        return REFUSED


async def clean(options: Options, google: Google, number: str, leftovers: list[Journal]) -> int:
    """Take away what earlier runs have left."""
    if not leftovers:
        say("no run has left anything")
    code = DONE
    for journal in leftovers:
        code = max(code, await remove(Run(options, google, number, journal)))
    return code


async def whole(
    options: Options, google: Google, number: str, leftovers: list[Journal], journal: Journal, price: Estimate
) -> int:
    if leftovers and (code := await clean(options, google, number, leftovers)):
        return code
    run, began, outcome = Run(options, google, number, journal), time.monotonic(), "failed"
    try:
        await until_stopped(run.make(), options.deadline * 60)
        outcome = "done"
    except StepFailed as error:
        outcome = f"failed: {error}"
    except Stopped as error:
        outcome = f"stopped: {error}"
        say(f"{error}: taking everything down; Ctrl-C once more leaves that to make google CLEAN=1")
    finally:
        # Also after what nobody has thought of.
        left = await remove(run)
        run.conclude(price, outcome, time.monotonic() - began)
        say(f"evidence, redacted: {run.evidence.folder}")
    return left or (DONE if outcome == "done" else FAILED)


async def remove(run: Run) -> int:
    """Take everything of a run away, and tell what is left: DONE or LEFT."""
    try:
        left = await until_stopped(run.remove(), None)
    except Stopped as error:
        say(f"{error}: not everything has been removed; make google CLEAN=1 does")
        return LEFT
    except Refused as error:
        say(f"{error}\nnot everything has been removed; make google CLEAN=1 tries again")
        return LEFT
    if left:
        say(f"STILL THERE, and maybe billed: {listed(left)}\nmake google CLEAN=1 tries again")
    return LEFT if left else DONE


async def until_stopped(work: t.Coroutine[t.Any, t.Any, t.Any], seconds: float | None) -> t.Any:
    """The result of ``work``, which SIGINT, SIGTERM and the end of its time cancel. Raises Stopped."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    reasons: list[str] = []

    def stop(reason: str) -> None:
        reasons.append(reason)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, signal.Signals(number).name)
    timer = loop.call_later(seconds, stop, "the deadline has come") if seconds else None
    try:
        return await task
    except asyncio.CancelledError:
        raise Stopped(reasons[0] if reasons else "cancelled") from None
    finally:
        if timer is not None:
            timer.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def tell(options: Options, price: Estimate, leftovers: Sequence[Journal]) -> None:
    say(f"In project {options.project}, {' and '.join(options.zones)}:")
    for name in options.steps:
        say(f"  {name:9} {STEPS[name].minutes:3.0f} min  {STEPS[name].text}")
    say(f"Dollars an hour, by the prices of {price.date} in {options.prices}:")
    for line in price.lines:
        say(f"  {line.per_hour:8.4f}  {line.number:g} x {line.item}")
    say(f"  {price.per_hour:8.4f}  together")
    say(
        f"About {price.expected:.2f} dollars when all goes well, {price.most:.2f} at most: after {options.deadline:g} "
        f"minutes everything is taken down, which may take {REMOVAL:g}. The cap is {options.cap:.2f}."
    )
    say("Everything that is made is removed at the end, also after a failure or Ctrl-C; after a kill CLEAN=1 does it.")
    if leftovers:
        say(f"First what earlier runs have left is removed: {', '.join(journal.run for journal in leftovers)}.")


def confirm(options: Options) -> None:
    """Raises Refused unless somebody agrees."""
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise Refused("YES", "nobody can be asked here; give YES=1 to go on without")
    if input("Type yes to go on: ").strip() != "yes":
        raise Refused("YES", "not confirmed, and nothing was done")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
