"""Its import recurses until Python gives up."""


def recurse() -> None:
    recurse()


recurse()
