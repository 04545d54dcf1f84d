"""The one exception that means "the input is at fault, not the program"."""


class InputError(ValueError):
    """A file, argument or object given by the user cannot be used.

    The message names the file or argument and says what to do; the command line prints it
    without a traceback.
    """
