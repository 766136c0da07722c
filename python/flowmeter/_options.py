# SPDX-License-Identifier: BSD-3-Clause
"""Keyword arguments as options of the program, from its table."""
import inspect
import numbers
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from . import _native

Options = dict[str, list[str | bytes]]


def _keywords() -> dict[str, dict[str, Any]]:
    """The options that are keywords, by name or former name."""
    return {name.replace("-", "_"): option for option in _native.options()
            for name in (option["name"], option["former_name"]) if name}


def _text(name: str, value: object, kind: str) -> str | bytes:
    """The value of an option, as a command line has it. kind: the type of the option; "" of a switch."""
    if isinstance(value, bool) and kind:
        raise TypeError(f"{name} cannot be {value}")
    if kind == "A,B,..." and not isinstance(value, str) and isinstance(value, Iterable):
        value = ",".join(value)
    if kind == "A,B,..." and not str(value).strip():
        raise ValueError(f"{name} names no column")
    if isinstance(value, os.PathLike):
        return os.fsencode(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return repr(float(value))
    return str(value)


def options(function: str, *, live: bool, settings: Mapping[str, object]) -> Options:
    """The options of a run, except input and output. function: the caller's name, for error messages."""
    chosen: Options = {}
    keywords = _keywords()
    for name, value in settings.items():
        option = keywords.get(name)
        if option is None or (option["live_only"] and not live):
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'")
        if value is not None and (value is not False or option["type"]):
            chosen[option["name"]] = [_text(name, value, option["type"])]
    return chosen


_Function = TypeVar("_Function", bound=Callable[..., object])


def with_settings(settings: type) -> Callable[[_Function], _Function]:
    """Lists the settings in the signature, for help() and completion in notebooks."""
    def listed(function: _Function) -> _Function:
        own = inspect.signature(function)
        shown = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
        shown += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
                  for name, kind in settings.__annotations__.items()]
        vars(function)["__signature__"] = own.replace(parameters=shown)
        return function
    return listed


def in_python(text: str) -> str:
    """A message of the program, with the keywords of the options that it names."""
    text = text.replace("--list-fields shows all", "flowmeter.features() and flowmeter.further_columns() list them")
    return re.sub(r"--([a-z]+(?:-[a-z]+)*)",
                  lambda found: name if (name := found[1].replace("-", "_")) in _keywords() else found[0], text)
