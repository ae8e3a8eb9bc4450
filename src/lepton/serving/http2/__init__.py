"""HTTP/2 as far as gRPC needs it: frames, compressed headers, windows, and what a peer may take."""
