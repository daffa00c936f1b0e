"""``python -m promwrite``: ``receive`` is a receiver in a terminal, ``drain`` sends what a spool holds."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence


def credentials(text: str) -> tuple[str, str]:
    user, found, password = text.partition(":")
    if not found or not user:
        raise argparse.ArgumentTypeError("must be USER:PASSWORD")
    return user, password


def header(text: str) -> tuple[str, str]:
    name, found, value = text.partition(":")
    if not found or not name.strip():
        raise argparse.ArgumentTypeError("must be 'NAME: VALUE'")
    return name.strip(), value.strip()


def option(text: str) -> tuple[str, str]:
    key, found, value = text.partition("=")
    if not found or not key:
        raise argparse.ArgumentTypeError("must be KEY=VALUE")
    return key, value


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m promwrite", description="Tools of promwrite.")
    commands = parser.add_subparsers(dest="command", required=True)
    receive = commands.add_parser(
        "receive",
        help="print what arrives by remote write or as pushes",
        description="A receiver for development on 127.0.0.1: remote write 1.0 and 2.0 at any path, the Pushgateway's"
        " API at /metrics/job/…; one line a sample and a push. Ctrl-C ends it.",
    )
    receive.add_argument("--port", type=int, default=0, help="the port (default: a free one)")
    receive.add_argument(
        "--basic-auth", type=credentials, metavar="USER:PASSWORD", help="answer 401 without them"
    )
    receive.add_argument("--bearer-token", metavar="TOKEN", help="answer 401 without it")
    receive.add_argument(
        "--header",
        type=header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="answer 401 without it",
    )
    receive.add_argument("--write-path", metavar="PATH", help="answer 404 to remote write at another path")
    drain = commands.add_parser(
        "drain",
        help="send what a spool holds",
        description="Sends what processes that ended left in DIR (option spool_dir) for URL. The exit code is 0 if"
        " nothing is left, 1 if something stays in DIR or was refused or given up, 2 if an argument is refused.",
    )
    drain.add_argument("directory", metavar="DIR")
    drain.add_argument("url", metavar="URL", help="the remote-write URL that it was meant for")
    drain.add_argument(
        "--timeout", type=float, default=60, metavar="SECONDS", help="the longest that it takes (60)"
    )
    drain.add_argument(
        "--option",
        type=option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of a Writer, such as basic_auth.password_file=/run/secrets/token",
    )
    return parser


def send(given: argparse.Namespace) -> int:
    """``drain``; the exit code."""
    import promwrite

    try:
        report = promwrite.drain(given.directory, given.url, given.timeout, options=dict(given.option))
    except promwrite.Error as error:
        print(error, file=sys.stderr)
        return 2
    print(report)
    return 0 if report else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code."""
    given = arguments().parse_args(argv)
    if given.command == "drain":
        return send(given)
    from promwrite.testing import Receiver, now

    def log(line: str) -> None:
        print(now(), line, flush=True)

    receiver = Receiver(
        basic_auth=given.basic_auth,
        bearer_token=given.bearer_token,
        headers=dict(given.header),
        write_path=given.write_path,
        port=given.port,
        log=log,
    )
    try:
        with receiver:
            print(
                f"remote write: {receiver.write_url}   gateway: {receiver.gateway}   (Ctrl-C ends)",
                flush=True,
            )
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except OSError as error:
        print(f"port {given.port}: {error}", file=sys.stderr)
        return 1
    samples = sum(map(len, receiver.samples.values()))
    print(f"{len(receiver.requests)} requests, {samples} samples, {len(receiver.pushes)} pushes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
