"""Other systems of the town, and what each is to be told."""

from services.booking.tables.schema import metadata
from shared.webhooks.tables import webhook_delivery_table, webhook_endpoint_table

webhook_endpoint = webhook_endpoint_table(metadata)
# Written by `tell_webhooks` (0019), a trigger's for what is published. Of an appointment, what leaves here is another
# id for each endpoint.
webhook_delivery = webhook_delivery_table(metadata)
