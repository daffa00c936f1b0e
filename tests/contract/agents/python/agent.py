"""The agent of the contract tests in Python: a command line in, an answer out. ``contract.py`` has the protocol."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

import promwrite
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

Fields = list[str]

# The classes stand for the numbers of the other languages.
CODES: dict[type[promwrite.Error], int] = {
    promwrite.InvalidError: -1,
    promwrite.OptionError: -2,
    promwrite.TimestampError: -3,
    promwrite.ExpositionError: -4,
    promwrite.TooLargeError: -5,
    promwrite.QueueFullError: -6,
    promwrite.ClosedError: -7,
    promwrite.SendError: -9,
    promwrite.InternalError: -11,
}

writers: dict[str, promwrite.Writer] = {}
series: dict[str, promwrite.Series] = {}
pushers: dict[str, promwrite.Pusher] = {}


def main() -> None:
    for line in iter(sys.stdin.buffer.readline, b""):
        match line.decode().removesuffix("\n").split("\t"):
            case ["fork"]:
                if not (child := os.fork()):
                    answer("ok", [])
                    continue
                _, status = os.waitpid(child, 0)
                answer("ok", [str(os.waitstatus_to_exitcode(status))])
            case ["exit", how, code]:
                leave(how, int(code))
            case encoded:
                try:
                    done = obey(encoded)
                except promwrite.Error as error:
                    answer("error", [str(CODES[type(error)]), str(int(error.retryable)), str(error)])
                else:
                    answer("ok", done)


def answer(kind: str, fields: Iterable[str]) -> None:
    encoded = (quote_from_bytes(field.encode(), safe=" ") for field in fields)
    print("\t".join([kind, *encoded]), flush=True)


def leave(how: str, code: int) -> None:
    if how == "_exit":
        os._exit(code)
    sys.exit(code)


def obey(encoded: Sequence[str]) -> Fields:
    match [unquote(field, errors="strict") for field in encoded]:
        case ["writer", name, url, *options]:
            writers[name] = promwrite.Writer(url, options=pairs(options))
        case ["series", name, writer, metric, *labels]:
            series[name] = writers[writer].series(metric, pairs(labels))
        case ["append", name, value, at]:
            series[name].append(number(value), seconds(at))
        case ["append_many", name, *samples]:
            values = [number(value) for value in samples[::2]]
            series[name].extend(values, timestamps_ms=[int(at) for at in samples[1::2]])
        case ["sample", writer, metric, value, at, *labels]:
            writers[writer].append(metric, number(value), pairs(labels), seconds(at))
        case ["push_text", writer, _, content_type, *labels]:
            page = unquote_to_bytes(encoded[2])
            given = {"content_type": content_type} if content_type else {}
            return [str(writers[writer].push_text(page, labels=pairs(labels), **given))]
        case ["pusher", name, gateway, job, group, *more]:
            end = 2 * int(group)
            pushers[name] = promwrite.Pusher(gateway, job, pairs(more[:end]), options=pairs(more[end:]))
        case ["drop", name]:
            del writers[name]
        case ["put", name, _, content_type]:
            pushers[name].push_text(unquote_to_bytes(encoded[2]), content_type)
        case ["post", name, page, _]:
            # a page is posted by its registry alone, whose rendering has the same content type
            pushers[name].add(Page(page))
        case ["delete", name]:
            pushers[name].delete()
        case ["flush", "*", timeout]:
            both = promwrite.flush(int(timeout) / 1000)
            return counters([vars_of(both.samples), vars_of(both.pushes)])
        case ["flush", name, timeout]:
            return counters([vars_of(sender(name).flush(int(timeout) / 1000))])
        case ["close", name, timeout]:
            return counters([vars_of(sender(name).close(int(timeout) / 1000))])
        case ["stats", name]:
            stats = sender(name).stats()
            return counters(stats if isinstance(stats, list) else [stats] if stats else [])
        case fields:
            raise ValueError(f"not understood: {fields}")
    return []


class Page:
    """The registry that a page stands for."""

    def __init__(self, page: str) -> None:
        self.page = page

    def collect(self) -> Iterable[Metric]:
        return text_string_to_metric_families(self.page)


def sender(name: str) -> promwrite.Writer | promwrite.Pusher:
    return writers[name] if name in writers else pushers[name]


def pairs(fields: Sequence[str]) -> dict[str, str]:
    return dict(zip(fields[::2], fields[1::2], strict=True))


def number(bits: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(bits))[0]
    return value


def seconds(at: str) -> float | None:
    return None if at == "now" else int(at) / 1000


def vars_of(report: promwrite.Report) -> dict[str, Any]:
    return {name: getattr(report, name) for name in promwrite.Report.__slots__}


def counters(senders: Iterable[dict[str, Any]]) -> Fields:
    out = []
    for one in senders:
        out += ["kind", one["kind"]]
        for name in ("accepted", "delivered", "superseded", "pending"):
            out += [name, str(one[name])]
        for group in ("rejected", "dropped"):
            for reason, count in one[group].items():
                out += [f"{group}.{reason}", str(count)]
        for name in ("succeeded", "failed"):
            if "requests" in one:
                out += [f"requests.{name}", str(one["requests"][name])]
        for failure in one["failures"]:
            out += ["failure", failure]
    return out


if __name__ == "__main__":
    main()
