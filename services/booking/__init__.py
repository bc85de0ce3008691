"""Booking knows when and where: slots, places, appointments and the line at the counter."""
