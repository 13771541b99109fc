"""The grammar of the command line as plain values, for whoever writes it down in another form."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Takes(Enum):
    """What follows an option."""

    NOTHING = "nothing"
    TEXT = "text"
    FILE = "file"
    FOLDER = "folder"


_METAVARS = {"FILE": Takes.FILE, "DIR": Takes.FOLDER}


@dataclass(frozen=True, slots=True)
class Option:
    """``-u URL, --url URL``. *choices* are all it takes, if it takes no others."""

    names: tuple[str, ...]
    takes: Takes
    metavar: str
    choices: tuple[str, ...]
    is_required: bool
    help: str


@dataclass(frozen=True, slots=True)
class Argument:
    """``KEY``, ``[VALUE]`` or ``[SUBJECT ...]``: *form* is how a usage shows it."""

    form: str
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Command:
    """*words* are what is typed behind ``mailward``; none for the program itself."""

    words: tuple[str, ...]
    does: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    below: tuple[Command, ...]

    def all(self) -> Iterator[Command]:
        """This command and every command below it."""
        yield self
        for command in self.below:
            yield from command.all()


def shape_of(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = (), does: str = ""
) -> Command:
    """The command that *parser* reads, with all below it."""
    options: list[Option] = []
    arguments: list[Argument] = []
    below: list[Command] = []
    for action in parser._actions:  # noqa: SLF001 -- argparse tells its grammar nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- the same
            what = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001 -- the same
            below += (
                shape_of(command, (*words, name), what[name])
                for name, command in action.choices.items()
            )
        elif action.option_strings:
            options.append(_option(action))
        else:
            arguments.append(_argument(action))
    return Command(words, does, tuple(options), tuple(arguments), tuple(below))


def _option(action: argparse.Action) -> Option:
    choices = tuple(action.choices or ())
    metavar = str(action.metavar or "|".join(choices))
    takes = Takes.NOTHING if action.nargs == 0 else _METAVARS.get(metavar, Takes.TEXT)
    names = tuple(action.option_strings)
    return Option(names, takes, metavar, choices, action.required, action.help or "")


def _argument(action: argparse.Action) -> Argument:
    choices = tuple(action.choices or ())
    name = str(action.metavar or "|".join(choices))
    form = {"?": f"[{name}]", "*": f"[{name} ...]"}.get(str(action.nargs), name)
    return Argument(form, choices, action.help or "")
