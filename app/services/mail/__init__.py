"""Mail: kinds, templates, messages, sending, and the record of what was sent."""
