"""Text from brokers, messages and people, made inert: it is data, whatever it says.

Every such text goes through `as_text` where Streamlit reads Markdown (all labels, captions, messages, help texts), and
through `visible` where it is shown as it is (cells of tables, axes and legends of charts, `st.text`, `st.code`).
"""

import re
import unicodedata

LONGEST = 300
"""So many characters of a name are shown; more would push everything else out of sight."""

# All ASCII punctuation: CommonMark lets each be escaped, and Streamlit adds `:name[...]` directives, `$` for formulas
# and `~` for small text.
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# Addresses and `:emoji:` become links and pictures after escapes have been taken away, so that escaping does not stop
# them. A joiner of no width does; it stands only where one of these would come of it, since it is copied along.
_ACTING = re.compile(r"(?i)https?(?=:)|ftp(?=:)|mailto(?=:)|www(?=\.)|(?<=\w)@(?=\w)|:(?=[\w+/-]+:)")
_WORD_JOINER = "\u2060"
_SHOWN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
_DELETE = 0x7F


def visible(text: str, longest: int = LONGEST) -> str:
    r"""Return text in one line without anything that acts: control and formatting characters are written out (`\x1b`).

    Among the formatting characters are those that turn the direction of writing, which would let a name look like
    another one. What is cut off is told by its number of characters.
    """
    cut = text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest:,} more characters)"
    return "".join(map(_shown, cut))


def as_text(text: str, longest: int = LONGEST) -> str:
    """Return Markdown that shows the text as it is: no markup, no links, no HTML, no icons, no formulas."""
    broken = _ACTING.sub(lambda found: f"{found[0]}{_WORD_JOINER}", visible(text, longest))
    return _PUNCTUATION.sub(r"\\\1", broken)


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20 or code == _DELETE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if unicodedata.category(character) in _SHOWN_CATEGORIES else character
