//! SQL as fragments: text with typed slots, built once per plan and bound per request. Nothing here touches a driver.

pub(crate) mod aggregate;
pub(crate) mod binding;
pub(crate) mod convert;
pub(crate) mod ddl;
pub(crate) mod dialect;
pub(crate) mod existing;
pub(crate) mod fragment;
pub(crate) mod lower;
pub(crate) mod pattern;
pub(crate) mod select;
pub(crate) mod write;
