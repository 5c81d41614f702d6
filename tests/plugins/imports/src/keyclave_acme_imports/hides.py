"""Its import raises an exception that cannot be shown, and whose class answers for its own name."""


class Meta(type):
    """The class of a class without a name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]  # that is the point
        raise RuntimeError("canary-in-the-text")


class Hidden(ModuleNotFoundError, metaclass=Meta):
    """It raises whenever it is asked for something."""

    def __str__(self) -> str:
        raise RuntimeError("canary-in-the-text")

    __repr__ = __str__


raise Hidden("canary-in-the-text")
