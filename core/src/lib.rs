//! promwrite core.
