//! Kit for faces: caller extraction, limits, request ids, JSON writing
