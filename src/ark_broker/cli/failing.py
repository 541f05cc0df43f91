"""How a command ends: its exit code, and one line on stderr that says why."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn

import typer

from ark_broker.cli.render.printable import printable

if TYPE_CHECKING:
    from ark_broker.client import Refused


class Exit(IntEnum):
    """Exit codes of the commands that speak to a broker."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_PERMITTED = 4
    UNREACHABLE = 5
    INTERRUPTED = 130


_CODES = {401: Exit.NOT_PERMITTED, 403: Exit.NOT_PERMITTED, 404: Exit.NOT_FOUND}


def fail(message: str, code: int = Exit.FAILED) -> NoReturn:
    """Say why on stderr, and end with that code."""
    say(message)
    raise typer.Exit(int(code))


def say(message: str) -> None:
    """One line on stderr."""
    typer.echo(f"ark-broker: {printable(message)}", err=True)


@contextmanager
def one_line_failures(*, interrupted: int = Exit.INTERRUPTED) -> Iterator[None]:
    """What may go wrong between a command and its broker becomes an exit code and one line.

    Ctrl-C ends with the code `interrupted`; a reader that has seen enough (`| head`) ends it quietly, with 0.
    """
    from ark_broker.cli.configuration import ConfigError
    from ark_broker.client import BrokerError, Refused, Unreachable

    try:
        yield
        sys.stdout.flush()
    except ConfigError as error:
        fail(str(error))
    except Unreachable as error:
        fail(f"{error}. Is it running? `ark-broker doctor` looks closer.", Exit.UNREACHABLE)
    except Refused as error:
        fail(reason_of(error), _CODES.get(error.status, Exit.FAILED))
    except BrokerError as error:
        fail(str(error))
    except UnicodeEncodeError as error:
        fail(f"{error.object!r} is not UTF-8", Exit.USAGE)
    except BrokenPipeError:
        _forget_stdout()
        raise typer.Exit(int(Exit.DONE)) from None
    except KeyboardInterrupt:
        raise typer.Exit(int(interrupted)) from None


def reason_of(error: Refused) -> str:
    """What the broker said, with what a person does about it."""
    hint = {
        401: " Set ARK_BROKER_TOKEN, or `ark-broker config set token`.",
        403: " `ark-broker doctor` shows what the token may do.",
    }.get(error.status, "")
    return f"{error.message}{'.' if hint and not error.message.endswith('.') else ''}{hint}"


def _forget_stdout() -> None:
    """Python flushes stdout once more when it ends, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
