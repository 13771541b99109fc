"""Completion for bash, zsh and fish: a script for each, made from the grammar.

All three do the same. They walk through the words before the cursor to learn which command they
have come to (*at*) and whether an option waits for its value (*value*). Then they offer what may
stand there: values of the option, options of the command, commands below it. Subjects and keys are
not offered: no daemon is asked while somebody types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from mailward.app.cli.printed.shape import Command, Option, Takes


class Shell(Enum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(program: Command, shell: Shell) -> str:
    """The script that *shell* reads."""
    match shell:
        case Shell.BASH:
            return _filled(_BASH, program, _bash_values(program), _bash_places(program))
        case Shell.ZSH:
            return _filled(_ZSH, program, _zsh_values(program), _zsh_places(program))
        case Shell.FISH:
            return _filled(_FISH, program, (), _fish_places(program))


def _filled(frame: str, program: Command, values: Iterable[str], places: Iterable[str]) -> str:
    fish = frame is _FISH
    options = [name for option in _with_values(program) for name in option.names]
    steps = [
        _quoted(f"{' '.join(command.words[:-1])} {command.words[-1]}")
        for command in program.all()
        if command.words
    ]
    between = " " if fish else " | "
    return (
        frame.replace("@OPTIONS@", between.join(options))
        .replace("@STEPS@", between.join(steps))
        .replace("@VALUES@\n", "".join(f"{line}\n" for line in values))
        .replace("@PLACES@\n", "".join(f"{line}\n" for line in places))
    )


def _with_values(program: Command) -> Sequence[Option]:
    """Every option that takes a value, once: it takes the same everywhere."""
    found: dict[tuple[str, ...], Option] = {}
    for command in program.all():
        for option in command.options:
            if option.takes is not Takes.NOTHING:
                found.setdefault(option.names, option)
    return tuple(found.values())


def _next_words(command: Command) -> Iterator[tuple[str, str]]:
    """The words that may come next, each with what it means."""
    for below in command.below:
        yield below.words[-1], below.does
    for argument in command.arguments:
        for choice in argument.choices:
            yield choice, argument.help


def _quoted(text: str) -> str:
    """*text* as one word, for any of the shells."""
    return "'" + text.replace("'", "'\\''") + "'"


# -- bash ------------------------------------------------------------------------------------------

_BASH = """\
# Completion of mailward for bash: made by `mailward completion bash`.
_mailward() {
  local cur=${COMP_WORDS[COMP_CWORD]} at='' value='' words='' options='' word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -n $value ]]; then
      if [[ $word != = ]]; then value=''; fi # bash cuts --data=DIR into three words
      continue
    fi
    case $word in
      @OPTIONS@) value=$word ;;
      -*) ;;
      *) case "$at $word" in @STEPS@) at="${at:+$at }$word" ;; esac ;;
    esac
  done
  if [[ $cur == = ]]; then cur=''; fi
  COMPREPLY=()
  case $value in
@VALUES@
  esac
  case $at in
@PLACES@
  esac
  if [[ $cur == -* ]]; then words=$options; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _mailward mailward
"""


def _bash_values(program: Command) -> Iterator[str]:
    for option in _with_values(program):
        offer = "return"
        if option.choices:
            words = _quoted(" ".join(option.choices))
            offer = f'mapfile -t COMPREPLY < <(compgen -W {words} -- "$cur"); return'
        elif option.takes is not Takes.TEXT:
            kind = "-d" if option.takes is Takes.FOLDER else "-f"
            offer = (
                f'compopt -o filenames; mapfile -t COMPREPLY < <(compgen {kind} -- "$cur"); return'
            )
        yield f"    {' | '.join(option.names)}) {offer} ;;"


def _bash_places(program: Command) -> Iterator[str]:
    for command in program.all():
        words = _quoted(" ".join(word for word, _ in _next_words(command)))
        options = _quoted(" ".join(name for option in command.options for name in option.names))
        yield f"    {_quoted(' '.join(command.words))}) words={words} options={options} ;;"


# -- zsh -------------------------------------------------------------------------------------------

_ZSH = """\
#compdef mailward
# Completion of mailward for zsh: made by `mailward completion zsh`.
_mailward() {
  local at='' value='' word
  local -a offers options
  for word in "${(@)words[2,CURRENT-1]}"; do
    if [[ -n $value ]]; then
      value=''
      continue
    fi
    case $word in
      (@OPTIONS@) value=$word ;;
      (-*) ;;
      (*) case "$at $word" in (@STEPS@) at="${at:+$at }$word" ;; esac ;;
    esac
  done
  if [[ -z $value && $PREFIX == --*=* ]]; then
    value=${PREFIX%%=*}
    compset -P '*='
  fi
  case $value in
@VALUES@
  esac
  case $at in
@PLACES@
  esac
  if [[ $PREFIX == -* ]]; then
    _describe -o option options
  else
    _describe command offers
  fi
}
if [[ $funcstack[1] == _mailward ]]; then _mailward "$@"; else compdef _mailward mailward; fi
"""


def _zsh_values(program: Command) -> Iterator[str]:
    for option in _with_values(program):
        if option.choices:
            offer = f"compadd -- {' '.join(option.choices)}"
        elif option.takes is Takes.TEXT:
            offer = f"_message {_quoted(f'{option.metavar}: {option.help}')}"
        else:
            offer = "_files -/" if option.takes is Takes.FOLDER else "_files"
        yield f"    ({' | '.join(option.names)}) {offer}; return ;;"


def _zsh_places(program: Command) -> Iterator[str]:
    for command in program.all():
        yield f"    ({_quoted(' '.join(command.words))})"
        for name, offers in (
            ("offers", _next_words(command)),
            ("options", ((name, o.help) for o in command.options for name in o.names)),
        ):
            described = " ".join(_quoted(f"{word}:{means}") for word, means in offers)
            yield f"      {name}=({described})"
        yield "      ;;"


# -- fish ------------------------------------------------------------------------------------------

_FISH = """\
# Completion of mailward for fish: made by `mailward completion fish`.
function __mailward_at --description 'the words before the cursor have come to this command'
    set -l at ''
    set -l value ''
    for word in (commandline -opc)[2..]
        if test -n "$value"
            set value ''
            continue
        end
        switch $word
            case @OPTIONS@
                set value $word
            case '-*'
            case '*'
                switch "$at $word"
                    case @STEPS@
                        set at (string trim -- "$at $word")
                end
        end
    end
    test "$at" = "$argv"
end
complete -c mailward -f
@PLACES@
"""


def _fish_places(program: Command) -> Iterator[str]:
    for command in program.all():
        here = f"complete -c mailward -n {_quoted('__mailward_at ' + ' '.join(command.words))}"
        for word, means in _next_words(command):
            yield f"{here} -a {word}{_fish_means(means)}"
        for option in command.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            yield f"{here} {names}{_fish_takes(option)}{_fish_means(option.help)}"


def _fish_takes(option: Option) -> str:
    if option.choices:
        return f" -x -a {_quoted(' '.join(option.choices))}"
    match option.takes:
        case Takes.NOTHING:
            return ""
        case Takes.TEXT:
            return " -x"
        case Takes.FILE:
            return " -r -F"
        case Takes.FOLDER:
            return " -x -a '(__fish_complete_directories)'"


def _fish_means(means: str) -> str:
    return f" -d {_quoted(means)}" if means else ""
