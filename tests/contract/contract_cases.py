"""The cases: loaded, run in a language, and what of it is compared with other languages.

A case is a file in ``cases``. Its text says what is promised, ``run(agent, receiver)`` does it and checks what must be
seen. It may also have

    SCRIPT, DEFAULT, RULES      what the receiver does, as in ``receiver.py``
    WITHOUT                     languages that have no such thing, and why
    REQUESTS_DIFFER             why requests are not compared byte for byte between languages, if they are not
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract import AGENTS, HERE, Agent, Step, hidden
from receiver import Behaviour, FaultReceiver, Request, Rules


@dataclass
class Outcome:
    """What a case came to in one language."""

    steps: list[Step]
    requests: list[dict[str, Any]]


@dataclass
class Case:
    """A file of ``cases``."""

    name: str
    run: Callable[[Agent, FaultReceiver], None]
    without: dict[str, str]
    """Languages that have no such thing, and why."""
    script: list[Behaviour]
    default: Behaviour
    rules: Rules
    requests_differ: str
    """Why requests are not compared, if they are not."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Case:
        module = importlib.import_module(f"cases.{path.stem}")
        given = vars(module)
        return cls(
            path.stem,
            given["run"],
            given.get("WITHOUT", {}),
            given.get("SCRIPT", []),
            given.get("DEFAULT", {}),
            given.get("RULES", {}),
            given.get("REQUESTS_DIFFER", ""),
        )

    def languages(self) -> list[str]:
        return [language for language in AGENTS if language not in self.without]

    def outcome(self, language: str) -> Outcome:
        """Runs the case, unless it was run in this language already."""
        if language not in self.outcomes:
            with FaultReceiver(self.script, self.default, rules=self.rules) as receiver:
                agent = Agent(language, {receiver.address: "receiver"})
                try:
                    self.run(agent, receiver)
                    agent.finish()
                finally:
                    agent.kill()
                assert receiver.counts()["malformed"] == [], receiver.counts()
                requests = [comparable(request, receiver) for request in receiver.requests()]
            self.outcomes[language] = Outcome(agent.steps, requests)
        return self.outcomes[language]


def comparable(request: Request, receiver: FaultReceiver) -> dict[str, Any]:
    """What of a request must be equal in every language."""
    headers = {name.lower(): value for name, value in request.headers}
    return {
        "request": f"{request.method} {request.target}",
        "headers": hidden(headers, {receiver.address: "receiver"}),
        "body": request.body,
    }


CASES = {path.stem: Case.load(path) for path in sorted((HERE / "cases").glob("*.py"))}
