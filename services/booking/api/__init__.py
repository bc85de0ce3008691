"""JSON under `/booking/api`: the same commands as the pages. `docs/api.md` shows the way to an appointment."""
