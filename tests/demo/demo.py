"""One real job, run with prometheus_client's own handler and with promwrite, against a receiver that is well and one
that hangs: what arrived, how long each push held the job, and what the ledger says. `make demo` runs it.

    python demo.py                                                   the comparison, with a receiver of its own
    python demo.py --url URL --kind gateway|write [--user USER] [--password-file FILE] [--header-file FILE]
                                                                     the job, once, against a real server

A header file has one `Name: value` a line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from promwrite.testing import Receiver

ROOT = Path(__file__).resolve().parents[2]
JOB = Path(__file__).resolve().parent / "job.py"
PUSHES = 5


class Run(NamedTuple):
    """A run of the job."""

    client: str
    code: int
    seconds: float
    measured: dict[str, Any]
    ledger: list[dict[str, Any]]
    told: str


LABELS = {
    "prometheus_client": "prometheus_client's own handler",
    "handler": "the same, handler=promwrite.handler",
    "function": "promwrite.push_to_gateway",
    "writer_handler": "the same, handler=writer.handler",
    "writer": "promwrite.Writer: append, push",
}


def run(client: str, folder: Path, *arguments: str, options: str = "{}") -> Run:
    """Runs the job as a process of its own, because how it ends is part of the story.

    Options go by its input: a command line is seen by everybody on the machine.
    """
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, JOB, "--client", client, "--parts", str(PUSHES), *arguments, folder],
        input=options,
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - began
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if not lines:
        raise SystemExit(f"the job failed:\n{done.stderr}")
    ledger = lines[1]["ledger"] if len(lines) > 1 else []
    return Run(client, done.returncode, seconds, lines[0], ledger, done.stderr)


def duration(seconds: float) -> str:
    """Three digits and a unit that fits."""
    for unit, factor in (("s ", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def spread(values: list[float]) -> str:
    """Median and the longest."""
    if not values:
        return ""
    return f"{duration(statistics.median(values)):>7} … {duration(max(values)):>7}"


HEAD = (
    f"  {'':35} {'rendering a push':>20} {'handing it over':>20} {'the job':>9} {'with its end':>13}   result"
)


def row(result: Run, arrived: str) -> str:
    measured = result.measured
    whole = not measured["handing_over"]
    first = (
        "both: " + duration(statistics.median(measured["rendering"]))
        if whole
        else spread(measured["rendering"])
    )
    second = "… " + duration(max(measured["rendering"])) if whole else spread(measured["handing_over"])
    took = f"{duration(measured['job']):>9} {duration(result.seconds):>13}"
    return f"  {LABELS[result.client]:35} {first:>20} {second:>20} {took}   {arrived}"


def ledger(result: Run) -> str:
    """The numbers that are not zero, sender by sender."""

    def words(numbers: dict[str, Any]) -> str:
        parts = []
        for name, value in numbers.items():
            reasons = (
                {reason: count for reason, count in value.items() if count} if isinstance(value, dict) else {}
            )
            if reasons:
                parts.append(
                    f"{name} " + ", ".join(f"{count} ({reason})" for reason, count in reasons.items())
                )
            elif value and not isinstance(value, dict):
                parts.append(f"{name} {value}")
        return ", ".join(parts)

    shown = ("accepted", "delivered", "superseded", "rejected", "dropped", "pending")
    return "; ".join(words({name: numbers[name] for name in shown}) for numbers in result.ledger)


def compare(folder: Path) -> int:
    """The table."""
    failed = False
    with Receiver() as receiver:
        for hung in (False, True):
            print(
                f"\nThe receiver {'hangs: it reads every request, answers none (timeout=2)' if hung else 'is well'}\n"
            )
            print(HEAD)
            lines = []
            for client in LABELS:
                receiver.recover()
                receiver.clear()
                if hung:
                    receiver.hang()
                where = (
                    ["--write-url", receiver.write_url]
                    if "writer" in client
                    else ["--gateway", receiver.gateway]
                )
                result = run(client, folder, *where)
                samples = sum(map(len, receiver.samples.values()))
                failures = len(result.measured["failures"])
                arrived = (
                    f"{samples} samples arrived"
                    if "writer" in client
                    else f"{len(receiver.pushes)} pushes arrived"
                )
                if failures:
                    arrived += f", {failures} of {PUSHES} raised in the job"
                print(row(result, arrived), flush=True)
                if result.ledger:
                    lines.append(f"  ledger, {LABELS[client]}: {ledger(result)}")
                lines += [f"    it said: {line}" for line in result.told.splitlines()]
                failed |= result.code != 0 or (not hung and not (samples or receiver.pushes))
                if not hung and client == "writer":
                    sample = max(receiver.samples, key=lambda series: receiver.samples[series][-1].value)
                    newest = receiver.samples[sample][-1]
            print()
            print("\n".join(lines))
        receiver.recover()
    print(f"\nThe largest value that the writer's run brought: {dict(sample)} {newest.value:.0f}")
    print(
        "Median … longest of the pushes. 'With its end': the whole process, Python's start and the flush at exit too."
    )
    return 1 if failed else 0


def once(given: argparse.Namespace, folder: Path) -> int:
    """The job against a real server."""
    options: dict[str, object] = {}
    if given.user is not None:
        options["basic_auth.username"] = given.user
    if given.password_file is not None:
        options["basic_auth.password_file"] = str(given.password_file.resolve())
    if given.header_file is not None:
        for line in given.header_file.read_text().splitlines():
            name, found, value = line.partition(":")
            if not found:
                raise SystemExit(f"{given.header_file}: each line must be 'Name: value'")
            options[f"headers.{name.strip()}"] = value.strip()
    clients = ["handler"] if given.kind == "gateway" else ["writer", "writer_handler"]
    where = ["--gateway" if given.kind == "gateway" else "--write-url", given.url]
    print(f"\n{HEAD}")
    failed = False
    for client in clients:
        result = run(client, folder, *where, options=json.dumps(options))
        pending = sum(
            numbers["accepted"] - numbers["delivered"] - numbers["superseded"] for numbers in result.ledger
        )
        print(row(result, ledger(result)))
        for line in result.told.splitlines():
            print(f"    it said: {line}")
        failed |= result.code != 0 or pending > 0
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="a real server")
    parser.add_argument("--kind", choices=["gateway", "write"], help="what it is")
    parser.add_argument("--user")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--header-file", type=Path)
    parser.add_argument("--folder", type=Path, default=ROOT, help="whose source files the job reads")
    given = parser.parse_args()
    if (given.url is None) != (given.kind is None):
        parser.error("--url and --kind go together")
    files = [
        path for path in given.folder.rglob("*.rs") if "target" not in path.relative_to(given.folder).parts
    ]
    size = sum(path.stat().st_size for path in files)
    print(
        f"The job reads {len(files)} source files ({size / 1e6:.2f} MB) of this repository, keeps counters, gauges and"
    )
    print(f"a histogram about them with prometheus_client, and pushes {PUSHES} times while it does.")
    return compare(given.folder) if given.url is None else once(given, given.folder)


if __name__ == "__main__":
    sys.exit(main())
