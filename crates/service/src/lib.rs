//! The operations all faces share
