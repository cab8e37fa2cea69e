"""What an exception says, without what varies from case to case. Pure.

Two messages of one fault differ in numbers, ids, times, addresses and the values that they quote; these are replaced by
words in angle brackets, so that equal texts remain. What stands between backticks stays: there frameworks write the
names of classes and columns, which tell faults apart. Each pattern is linear in the text, and the text is cut before.
"""

import re
from functools import lru_cache

LONGEST_NORMALISED = 300
_LONGEST_READ = 2_000
_MOST_REMEMBERED = 8_192

# In this order: what is longer or more special first, since each is replaced before the next one looks.
_VARYING = (
    (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
    (r"\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s\"'<>,;)\]]{1,300}", "<address>"),
    (r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}", "<address>"),
    (
        r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:\s?(?:Z|UTC|GMT)\b|[+-]\d\d:?\d\d)?)?",
        "<time>",
    ),
    (r"\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\b", "<time>"),
    (r"/?\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b", "<address>"),
    (r"\[[0-9a-fA-F:]{3,40}\]:\d{1,5}\b", "<address>"),
    (r"\b(?:localhost|[A-Za-z][\w-]{0,62}(?:\.[\w-]{1,63}){1,8}):\d{2,5}\b", "<address>"),
    # An apostrophe inside of a word opens nothing: "can't find the customer's order".
    (r"(?<!\w)'[^'\n]{0,1000}'(?!\w)|\"[^\"\n]{0,1000}\"|“[^”\n]{0,1000}”|«[^»\n]{0,1000}»", "<text>"),
    (r"\{[^{}\n]{0,1000}\}", "<text>"),
    (r"(?<=[\w\])])=[^\s=,;)\]}]{1,1000}", "=<text>"),
    (r"\b0x[0-9a-fA-F]{1,64}\b|\b(?=[0-9a-fA-F]{0,40}\d)[0-9a-fA-F]{8,64}\b(?<!\d{8})", "<id>"),
    (r"\b[A-Z]{1,8}-\d{1,20}\b", "<id>"),
    (r"\b[A-Za-z_]{0,30}\d{1,20}[A-Za-z]{1,20}\d[A-Za-z0-9]{0,64}\b", "<id>"),
    (r"\d{1,400}(?:[.,]\d{1,400})*", "<n>"),
)
# Numbers that name a fault and do not vary with the case: statuses of HTTP and the codes of databases and registries.
_CODES = re.compile(
    r"\b(?:HTTP(?:/\d(?:\.\d)?)?|[Ss]tatus(?: [Cc]ode)?|[Ee]rror [Cc]ode)(?: of| is|:|=)? ?\d{3,5}\b"
    r"|\bORA-\d{5}\b|\bSQLSTATE ?\[?\w{5}\b|\b[45]\d\d (?=[A-Z][a-z])"
)
_HIDDEN_DIGITS = {ord("0") + digit: 0xE000 + digit for digit in range(10)}  # private use: no pattern takes them
_SHOWN_DIGITS = {0xE000 + digit: ord("0") + digit for digit in range(10)}
_PATTERNS = tuple((re.compile(pattern), word) for pattern, word in _VARYING)


@lru_cache(maxsize=_MOST_REMEMBERED)
def normalise(message: str) -> str:
    """Return an exception's first line that says something, without what varies from case to case."""
    line = _CODES.sub(lambda code: code[0].translate(_HIDDEN_DIGITS), first_line(message))
    for pattern, word in _PATTERNS:
        line = pattern.sub(word, line)
    return " ".join(line.translate(_SHOWN_DIGITS).split())[:LONGEST_NORMALISED]


def first_line(text: str) -> str:
    """Return the first line that is not blank, cut where it is long."""
    return text[:_LONGEST_READ].strip().partition("\n")[0].strip()
