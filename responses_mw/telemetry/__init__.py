"""What becomes of turn records: log lines, callbacks, spans, metrics.

Nothing here changes a response, and only records are read. One file per place they go to; whatever
needs a package of its own is imported by whoever wants it.
"""
