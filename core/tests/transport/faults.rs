//! What a network does: every row ends in time, in a kind, in words, and with the truth about what was sent.
