//! The enforcement point: the only maker of callers and authorized operations
