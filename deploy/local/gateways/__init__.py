"""The simulator of gateways: a mail server, two SMS gateways and LINE, as good and as bad as real ones."""
