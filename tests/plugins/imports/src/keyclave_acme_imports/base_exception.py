"""Its import raises what no handler of `Exception` catches."""


class Evil(BaseException):
    """Neither an Exception nor one of the known others."""


raise Evil
