"""Who runs the command, and what of an address can be seen at once."""

import os
import pwd


def full_name() -> str:
    """The user's full name, as ``NAME`` of the environment or the table of users has it; empty when none does."""
    name = os.environ.get("NAME", "")
    if not name:
        try:
            entry = pwd.getpwuid(os.getuid())
        except KeyError:
            return ""
        name = entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())
    return "".join(character for character in name if character >= " " and character != "\x7f").strip()


def malformed(address: str) -> bool:
    """Whether ``address``, with or without domain, can be no address; the server looks closer."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, "localhost"
    if not local or not domain or len(domain) > 255 or any(not 32 <= ord(c) != 127 for c in address):
        return True
    if any(0xDC80 <= ord(c) <= 0xDCFF for c in address):  # octets that are not UTF-8
        return True
    if not (local.startswith('"') and local.endswith('"') and len(local) > 2) and any(
        c in ' "(),:;<>@[\\]' for c in local
    ):
        return True
    if domain.startswith("[") and domain.endswith("]"):
        return False
    return any(not label or label[0] == "-" or label[-1] == "-" for label in domain.split(".")) or any(
        not (c.isalnum() or c in ".-_" or ord(c) > 127) for c in domain
    )
