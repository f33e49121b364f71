# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers without a model: fluent, about the prompt's words, and always the same for the same prompt."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator

_TOKEN = re.compile(r"\s*(?:\w{1,8}|[^\w\s])")
_WORD = re.compile(r"[A-Za-z][A-Za-z-]{3,}")
_COMMON = frozenset(
    _WORD.findall(
        "about after also because been before being between could does each fail from give have into just like made"
        " make many more most only other over please should some such tell than that their them then there these they"
        " this those under very want what when where which while will with word words would write your explain"
        " describe sentence sentences"
    )
)

_OPENINGS = (
    "The short answer is that {a} depends on {b}.",
    "It helps to look at {a} from the side of {b} first.",
    "There are two parts to this: {a}, and how it meets {b}.",
    "Most of what matters about {a} shows once {b} is under load.",
)
_SENTENCES = (
    "In practice {a} {verb} {quality} when {b} is {state}.",
    "A {adjective} {a} {verb} the cost of {b}, and that {result}.",
    "Without {b}, {a} would be {state} and nobody would notice until much later.",
    "What {a} needs is {quality}, while {b} asks for something {adjective}.",
    "Some teams begin with {b} and only then turn to {a}; this {result}.",
    "The {adjective} way is to measure {a} before changing {b}.",
    "If {a} is {state}, then {b} {verb} less than one would expect.",
    "None of this makes {a} {adjective}, but it keeps {b} {state}.",
)
_VERBS = ("shapes", "lowers", "carries", "limits", "improves", "reveals", "balances", "explains")
_ADJECTIVES = ("careful", "simple", "steady", "robust", "modest", "patient", "direct", "reliable")
_STATES = ("healthy", "busy", "well understood", "close by", "out of reach", "spread over regions", "idle")
_QUALITIES = ("capacity", "clarity", "latency", "the order of things", "trust", "the shape of the load")
_RESULTS = ("works well", "pays off over time", "is easy to test", "keeps surprises small", "can be repeated")


def tokens(text: str) -> list[str]:
    """A text cut into what counts as tokens here; joined again they are the text, but for spaces at its end."""
    return _TOKEN.findall(text)


def answer(prompt: str, seed: int) -> Iterator[str]:
    """The tokens of an endless answer to the prompt; its natural end is after ``natural_length`` of them."""
    chance = _chance(prompt, seed)
    topics = list(dict.fromkeys(word.lower() for word in _WORD.findall(prompt) if word.lower() not in _COMMON))[-12:]
    topics += ["the service", "the answer", "its context"][: max(0, 3 - len(topics))]
    forms = [chance.choice(_OPENINGS)]
    first = True
    while True:
        for form in forms:
            sentence = _fill(form, topics, chance)
            yield from tokens(sentence if first else " " + sentence)
            first = False
        forms = chance.sample(_SENTENCES, len(_SENTENCES))


def natural_length(prompt: str, seed: int) -> int:
    return _chance(prompt, seed).randint(48, 160)


def _chance(prompt: str, seed: int) -> random.Random:
    return random.Random(hashlib.sha256(f"{seed}:{prompt}".encode()).digest())


def _fill(form: str, topics: list[str], chance: random.Random) -> str:
    one, other = chance.sample(topics, 2)
    sentence = form.format(
        a=one,
        b=other,
        verb=chance.choice(_VERBS),
        adjective=chance.choice(_ADJECTIVES),
        state=chance.choice(_STATES),
        quality=chance.choice(_QUALITIES),
        result=chance.choice(_RESULTS),
    )
    return sentence[0].upper() + sentence[1:]
