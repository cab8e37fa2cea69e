"""Which messages a job takes: JMESPath over one message, bounded in work, and never Python.

The expression sees `{key, headers, body, text, partition, offset, position, timestamp, age_seconds, attempts,
deliveries, exception, exception_message, origin, properties}`. `body` is the parsed JSON value, null where it is none;
`text` is the value as text. The specification of JMESPath has no loops, but projections can multiply: what an
evaluation makes is counted, and one that makes too much is given up. Besides, a plan names positions, a cause, times.
Whoever may not see all of a message does not find it by what is hidden either.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jmespath  # type: ignore[import-untyped]
from jmespath import exceptions
from jmespath.functions import Functions  # type: ignore[import-untyped]
from jmespath.visitor import Options, TreeInterpreter  # type: ignore[import-untyped]

from monitor.analysis.causes import cause_of
from monitor.errors import BadRequest
from monitor.letters import DeadMessage, PlanRequest
from monitor.redrive.bodies import LARGEST_BODY_BYTES, read_json
from monitor.redrive.masking import mask

LONGEST_EXPRESSION = 2_000
_MOST_WORK = 50_000  # nodes visited and values made for one message; a tenth of a second
_CHARACTERS = 128  # of text count as one: searching in the longest leaves room for more
_GO_THROUGH = ("to_string", "contains")


class TooMuchWork(Exception):
    """The expression makes too much of one message."""


class _Bounded(TreeInterpreter):  # type: ignore[misc]
    """The library's interpreter with a limit on what it does and makes."""

    def __init__(self) -> None:
        super().__init__(Options(custom_functions=_Functions(self._spend)))
        self.COMPARATOR_FUNC = {**TreeInterpreter.COMPARATOR_FUNC, "eq": self._equals, "ne": self._differs}
        self._work = 0

    def visit(self, node: Any, *arguments: Any, **more: Any) -> Any:
        self._spend(1)
        value = super().visit(node, *arguments, **more)
        if isinstance(value, str | list | dict):
            self._spend(len(value) // (_CHARACTERS if isinstance(value, str) else 1))
        return value

    def _equals(self, left: Any, right: Any) -> bool:
        self._spend(_weigh(left) + _weigh(right))
        return bool(TreeInterpreter.COMPARATOR_FUNC["eq"](left, right))

    def _differs(self, left: Any, right: Any) -> bool:
        return not self._equals(left, right)

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > _MOST_WORK:
            raise TooMuchWork


class _Functions(Functions):  # type: ignore[misc]
    """The library's functions; what they go through as a whole, or multiply, is counted before they do."""

    def __init__(self, spend: Callable[[int], None]) -> None:
        self._spend = spend

    def call_function(self, function_name: str, resolved_args: Sequence[Any]) -> Any:
        if function_name in _GO_THROUGH:
            self._spend(sum(map(_weigh, resolved_args)))
        if function_name == "join" and [type(it) for it in resolved_args] == [str, list]:
            self._spend(len(resolved_args[0]) * len(resolved_args[1]) // _CHARACTERS)
        return super().call_function(function_name, resolved_args)


def _weigh(value: Any) -> int:
    """Return how much there is in a value: one that stands in it many times, as in [@, @], counts each time."""
    weight, values = 0, [value]
    while values and weight <= _MOST_WORK:
        it = values.pop()
        weight += 1 + (len(it) // _CHARACTERS if isinstance(it, str) else 0)
        values += it.values() if isinstance(it, dict) else it if isinstance(it, list) else ()
    return weight


class Selection:
    """A compiled expression. Raises BadRequest, with the position, for one that cannot be understood."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        if len(expression) > LONGEST_EXPRESSION:
            raise BadRequest(f"select: longer than {LONGEST_EXPRESSION} characters", parameter="select")
        try:
            self._parsed = jmespath.compile(expression).parsed
        except exceptions.ParseError as error:
            place = max(0, error.lex_position)
            told = f"select: at position {place + 1}: {error.msg or 'unexpected ' + repr(error.token_value)}"
            raise BadRequest(told, parameter="select", position=place + 1) from error
        except exceptions.LexerError as error:
            place = max(0, error.lexer_position)
            told = f"select: at position {place + 1}: {error.message}"
            raise BadRequest(told, parameter="select", position=place + 1) from error
        except (exceptions.JMESPathError, RecursionError) as error:
            raise BadRequest(f"select: {_one_line(error)}", parameter="select", position=1) from error
        self.matches(_EMPTY, 0.0)

    def matches(self, message: DeadMessage, now: float) -> bool:
        """Say whether a message is selected, by JMESPath's notion of truth.

        Raises BadRequest when the expression does too much, or calls what does not exist.
        """
        try:
            value = _Bounded().visit(self._parsed, document_of(message, now))
        except TooMuchWork:
            told = f"select: it takes too long on {message.position or 'a message'}; make it simpler"
            raise BadRequest(told, parameter="select") from None
        except exceptions.JMESPathTypeError:
            return False  # a function met another type in this one message: that is no match, and no error of all
        except (exceptions.JMESPathError, RecursionError) as error:
            raise BadRequest(f"select: {_one_line(error)}", parameter="select") from error
        except (ValueError, OverflowError):
            return False  # likewise, where the library itself stumbles: over a slice by steps of 0, an endless number
        return _is_true(value)


def document_of(message: DeadMessage, now: float) -> dict[str, Any]:
    """Return what an expression sees of a message."""
    text = _text(message.value)
    return {
        "key": _text(message.key),
        "headers": {header.name: _text(header.value) for header in message.headers},
        "body": read_json(message.value),
        "text": text,
        "position": message.position,
        "timestamp": message.enqueued_at,
        "age_seconds": None if message.enqueued_at is None else now - message.enqueued_at,
        "attempts": message.attempts,
        "deliveries": message.deliveries,
        "exception": message.exception,
        "exception_message": message.exception_message,
        "origin": message.origin.name if message.origin else None,
        "properties": _plain(message.properties),
        **_plain(message.coordinates),
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value[:LARGEST_BODY_BYTES].decode("utf-8", "replace")


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _text(value) if isinstance(value, bytes) else value for name, value in values.items()}


def _is_true(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", [], {})  # 0 is true, as JMESPath has it


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


_EMPTY = DeadMessage(position="", coordinates={}, key=None, value=None)

Selected = Callable[[DeadMessage], bool]


def selected_by(request: PlanRequest, now: Callable[[], float], hidden: Sequence[str] = ()) -> Selected:
    """Return the test that all that a plan says makes together. A message of unknown time is of no age.

    `hidden` is what the expression does not see, besides what the plan says of that.
    """
    selection = Selection(request.select) if request.select is not None else None
    wanted = frozenset(request.positions)
    before, after = request.enqueued_before, request.enqueued_after
    masked = (*request.masked, *hidden)

    def selected(message: DeadMessage) -> bool:
        if wanted and message.position not in wanted:
            return False
        at = message.enqueued_at
        if before is not None and (at is None or at > before):
            return False
        if after is not None and (at is None or at < after):
            return False
        if request.group is not None and cause_of(message).id != request.group:
            return False
        return selection is None or selection.matches(mask(message, masked), now())

    return selected
