"""Paths that come from outside and that a browser is sent to."""

LOCAL_PATH_MAX_LENGTH = 1_000


def is_local_path(path: str) -> bool:
    """Whether it is a path of this very site.

    Browsers read `//host`, `/\\host` and paths with control characters in them as other sites.
    """
    return (
        path.startswith("/")
        and not path.startswith("//")
        and len(path) <= LOCAL_PATH_MAX_LENGTH
        and "\\" not in path
        and not any(ord(char) < 0x21 or ord(char) == 0x7F for char in path)
    )
