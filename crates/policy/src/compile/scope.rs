//! A scope: permissions without a role.

use std::sync::Arc;

use super::{Compiler, Parts};
use crate::snapshot::{CompiledRole, Snapshot};
use crate::{Permission, Problem};

/// What explanations call the role of a scope. No stored role can have this name.
const NAME: &str = "(scope)";

impl<'a> Compiler<'a> {
    /// What can be made of these permissions under this policy, and all that cannot.
    pub(crate) fn scope(
        snapshot: &'a Snapshot,
        permissions: &[Permission],
    ) -> (CompiledRole, Vec<Problem>) {
        let mut compiler = Self::over(snapshot);
        let mut parts = Parts::default();
        compiler.permissions(permissions, &mut parts);
        let role = parts.role(Arc::from(NAME), None, (false, false));
        (role, compiler.problems)
    }
}
