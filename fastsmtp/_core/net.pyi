def has_input(fd: int) -> bool:
    """Whether bytes already lie in the socket ``fd``; False at end of file or on any error."""
