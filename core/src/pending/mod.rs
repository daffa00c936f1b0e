//! What waits to be sent. No network.
