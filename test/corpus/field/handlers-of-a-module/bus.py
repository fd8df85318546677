"""Who wants to hear of what happens."""
handlers = []
