"""Delivery processes: delivery_queue -> endpoint, many POSTs in flight in each of them."""
