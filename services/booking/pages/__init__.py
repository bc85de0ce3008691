"""The pages of booking, with their templates beside them."""
