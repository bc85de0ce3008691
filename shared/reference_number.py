"""How every service shows an appointment's number (予約番号), which booking makes."""


def show_number(number: str) -> str:
    """As people see it and read it aloud: ``K4M-7RXA``."""
    return f"{number[:3]}-{number[3:]}"
