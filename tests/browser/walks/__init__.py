"""Walks over every page, by what is walked; `test_every_page.py` runs them."""
