"""Of what was told, the newest notice: what staff had sent again takes the place of what was sent before it."""

from services.notifications.tables import SERVICE


def newest_notice(of: str) -> str:
    """The newest notice of a row that has a `told_id`, to be joined to it: one, however often it was told."""
    return f"""LATERAL (
        SELECT * FROM {SERVICE}.notice one WHERE (one.municipality, one.told_id) = ({of}.municipality, {of}.told_id)
        ORDER BY one.created_at DESC, one.again_of IS NULL, one.notice_id LIMIT 1)"""
