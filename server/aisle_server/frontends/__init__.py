"""Wire to core and back: gRPC, HTTP, metrics. No decision about inference is made here."""
