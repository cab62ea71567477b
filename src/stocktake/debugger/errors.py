"""The debugger's own errors: it imports nothing of the house, so that any loop can use it alone."""


class DebuggerError(Exception):
    """Something of the debugger's is not as it must be; the message is one line for people."""


class RecordError(DebuggerError):
    """A record is damaged, or is none."""


class RuleError(DebuggerError):
    """A rule, or a parameter of one, that does not exist or cannot be."""
