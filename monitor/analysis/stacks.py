"""What a stack trace says: which exception was at the bottom of it, and where in the program it came up. Pure.

A framework wraps what a consumer throws, each in its own way; underneath is the same exception. So the root of the
chain counts, and of its stack the first call that is the program's own: it stays when libraries and line numbers
change. Knows how Java, .NET, Node, Python, Go and Ruby print a stack.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from monitor.analysis.texts import first_line

_LONGEST_READ = 65_536
_MOST_FRAMES = 200
_MOST_REMEMBERED = 2_048
_CAUSED_BY = "\nCaused by: "
_DIRECT_CAUSE = "The above exception was the direct cause of the following exception:"
_TRACEBACK = "Traceback (most recent call last):"
_INNER = " ---> "
_INNER_END = "--- End of inner exception"

_CLASS = r"[A-Za-z_][\w$`+]{0,200}(?:[./][A-Za-z_][\w$`+]{0,200}){0,20}"
_HEAD = re.compile(rf"(?:Unhandled exception[.:]? )?({_CLASS})(?: \(0x[0-9A-Fa-f]+\))?(?:: (.*)|$)", re.DOTALL)
_ERROR_NAME = re.compile(r"(?:Exception|Error|Fault|Failure|Rejected|Expired|Timeout|Violation|Panic)$")
_AT = re.compile(r"\s{1,20}at (?:async |new )?(?:[\w.@+-]{0,100}/{1,2}){0,4}([^\s(]{1,300})\s?\(?")
_PYTHON = re.compile(r'\s{0,20}File "([^"]{1,300})", line \d{1,9}, in (\S{1,200})')
_GO = re.compile(r"([\w./*()-]{1,300}\.[\w.*()]{1,200})\((?:[^)]{0,300})\)$")
_RUBY = re.compile(r"\s{0,20}(?:from )?([\w./-]{1,300}\.rb):\d{1,9}:in [`']([^'`]{1,200})'")
_GENERATED = re.compile(
    r"\$\$(?:Lambda|Enhancer|FastClass|Spring|HibernateProxy)[^.]{0,100}|/0x[0-9a-f]+|`\d{1,3}|\[[^\]]{0,200}\]|\$\d{1,4}"
)
_LAMBDA = re.compile(r"lambda\$([\w]{1,100})\$\d{1,4}")
_PLACE = re.compile(r":\d{1,9}(?::\d{1,9})?\)?$")
_ASYNC = re.compile(r"[.+]?<(\w{1,100})>(?:d__\d{1,4}(?:\.MoveNext)?|b__[\d_]{1,9})")
_LIBRARIES = (
    "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.", "akka.", "groovy.",
    "org.springframework.", "org.apache.", "org.hibernate.", "org.postgresql.", "org.jboss.", "org.eclipse.",
    "io.netty.", "io.smallrye.", "io.quarkus.", "io.vertx.", "io.micrometer.", "io.confluent.", "io.debezium.",
    "io.github.resilience4j.", "io.grpc.", "com.fasterxml.", "com.zaxxer.", "com.google.", "com.mysql.",
    "com.rabbitmq.", "com.amazonaws.", "software.amazon.", "reactor.", "rx.", "feign.", "okhttp3.", "retrofit2.",
    "System.", "Microsoft.", "MassTransit.", "NServiceBus.", "Rebus.", "Wolverine.", "Newtonsoft.", "Npgsql.",
    "Polly.", "Confluent.", "RabbitMQ.", "Grpc.", "FluentValidation.", "Dapper.",
    "node:", "internal/", "Object.<anonymous>", "process.", "Promise.", "runtime.", "net.", "net/", "encoding/",
    "database/", "reflect.", "context.", "github.com/ThreeDotsLabs/", "github.com/IBM/sarama", "google.golang.org/",
)  # fmt: skip
_LIBRARY_FILES = ("site-packages", "dist-packages", "/lib/python", "node_modules", "/gems/", "node:", "<frozen ")


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong in a consumer: the class at the root, what it says, and the call where it came up.

    Empty is not said. `frame` has neither file nor line.
    """

    exception: str = ""
    message: str = ""
    frame: str = ""


@lru_cache(maxsize=_MOST_REMEMBERED)
def find_fault(exception: str, message: str, stacktrace: str) -> Fault:
    """Return the fault behind what headers say; where they say it all in one text, that is taken apart."""
    stack = stacktrace[:_LONGEST_READ].replace("\r\n", "\n")
    message = message[:_LONGEST_READ].replace("\r\n", "\n")
    if not stack and "\n" in message and _holds_stack(message):
        stack = message  # Rebus and others put the whole of it into one header
    root = _root_of(stack) if stack else None
    named, said = (root[0], root[1]) if root else ("", "")
    if not named:
        split = _split_head(first_line(message)) if not exception else None
        named, said = split or (exception, message)
    return Fault(plain_class(named), first_line(said or ("" if root and root[0] else message)), _top_of(stack, root))


def plain_class(name: str) -> str:
    """Return a class's name as it is written everywhere: without assembly, generic arity and wrapping text."""
    return _GENERATED.sub("", name.partition(",")[0].strip())[:200]


def _holds_stack(text: str) -> bool:
    return "\n   at " in text or "\n\tat " in text or "\n    at " in text or _TRACEBACK in text or "goroutine " in text


def _root_of(stack: str) -> tuple[str, str, str] | None:
    """Return class, message and own part of the stack of the exception at the root; None where there is no head."""
    if _TRACEBACK in stack:
        return _root_of_python(stack)
    at = stack.rfind(_CAUSED_BY)
    part = stack[at + len(_CAUSED_BY) :] if at >= 0 else stack.lstrip()
    head, inner = _head_of(part), part
    if _INNER in head:
        head = head.rpartition(_INNER)[2].strip()
        if head.startswith("(Inner Exception #"):
            head = head.partition(") ")[2]
    found = _split_head(head)
    return None if found is None else (*found, inner)


def _head_of(part: str) -> str:
    """Return what stands before the first call."""
    ends = [at for sign in ("\n\tat ", "\n   at ", "\n    at ", "\n\t... ") if (at := part.find(sign)) >= 0]
    return part[: min(ends)] if ends else part.partition("\n")[0]


def _split_head(head: str) -> tuple[str, str] | None:
    """Take `some.Class: what it says` apart; None for what does not begin with the name of an exception."""
    match = _HEAD.match(head.strip())
    if match is None:
        return None
    name, said = match[1], (match[2] or "").strip()
    if "." not in name and not _ERROR_NAME.search(name):
        return None  # a plain word before a colon is part of a sentence
    return name, said


def _root_of_python(stack: str) -> tuple[str, str, str] | None:
    """Python prints the cause first, and last what was raised while another was handled."""
    part = stack.partition(_DIRECT_CAUSE)[0] if _DIRECT_CAUSE in stack else stack[stack.rfind(_TRACEBACK) :]
    lines = [line for line in part.strip().split("\n") if line.strip()]
    last = next((line for line in reversed(lines) if not line.startswith(" ")), "")
    name, _, said = last.partition(": ")
    return (name, said, part) if re.fullmatch(_CLASS, name) else None


def _top_of(stack: str, root: tuple[str, str, str] | None) -> str:
    """Return the first call of the program itself, of the root's stack if there is one, else of all of it."""
    if not stack:
        return ""
    own = _frames_of(root[2] if root else stack)
    frames = own if root is None or root[2] == stack else [*own, *_frames_of(stack)]
    return next((name for name, is_library in frames if not is_library), frames[0][0] if frames else "")


def _frames_of(stack: str) -> list[tuple[str, bool]]:
    """Return the calls of a stack, the innermost first, and whether each is a library's."""
    is_python = _TRACEBACK in stack
    found = [frame for line in stack.split("\n")[: 4 * _MOST_FRAMES] if (frame := _read_frame(line))]
    return (found[::-1] if is_python else found)[:_MOST_FRAMES]


def _read_frame(line: str) -> tuple[str, bool] | None:
    if match := _AT.match(line):
        name = plain_call(match[1])
        return name, name.startswith(_LIBRARIES) or any(it in line for it in _LIBRARY_FILES)
    if match := _PYTHON.match(line):
        return f"{_module_of(match[1])}.{match[2]}", any(it in match[1] for it in _LIBRARY_FILES)
    if match := _RUBY.match(line):
        return f"{_module_of(match[1])}.{match[2]}", any(it in match[1] for it in _LIBRARY_FILES)
    if match := _GO.match(line):
        return match[1], match[1].startswith((*_LIBRARIES, "panic"))
    return None


def plain_call(name: str) -> str:
    """Return a call as the source has it, without what compilers and proxies make of it."""
    name = _ASYNC.sub(r".\1", _LAMBDA.sub(r"\1", _PLACE.sub("", name)))
    return _GENERATED.sub("", name)


def _module_of(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0] or path
