//! The native REST API under /v1
