"""HTML handlers with their templates beside them."""
