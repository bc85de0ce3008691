"""Tasks of staff that are calls which somebody chose; and who ended (`staff_task.done_by`) what no staff completed.

What it was about had gone, or it went on by another way."""

# The reason of a task of whom the person's own choice makes staff call.
CALL_CHOSEN = "call_chosen"
OVERTAKEN, CLOSING, NEXT_WAY = "overtaken", "closing", "next_way"
BY_ITSELF = (OVERTAKEN, CLOSING, NEXT_WAY)
# For statements. Nobody has been reached by these.
BY_ITSELF_SQL = ", ".join(f"'{each}'" for each in BY_ITSELF)
