"""One file per wire format. Adapters are strangers to each other."""
