"""What can go wrong with the stack, as sentences for people.

The stack runs before the project's environment exists, so it knows only the standard library and has a tree of its own:

    StackError          anything below; its text is one sentence, a log's end may follow
      MissingTool       a program of the system is not installed
      StackInterrupted  the start was given up (Ctrl-C, or another part failed)
"""


class StackError(Exception):
    """The stack cannot do what it was asked; the text says what and where."""


class MissingTool(StackError):
    """A program that has to be installed on the system first."""


class StackInterrupted(StackError):
    """The start was given up before it was finished."""
