//! Why the gate lets something not through. What a caller is told is the same for "not there" and "not for you".

/// A refusal. Names only what the caller sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such collection or record, or out of reach.
    #[error("there is no such collection or record")]
    NotFound,
    /// The caller can see it and may not do this with it.
    #[error("you may not do this here")]
    Forbidden,
    /// What would be handed out, authored or touched goes beyond the caller's own rights. It is told what, where he has
    /// written it himself.
    #[error("this goes beyond your own rights{}", .0.as_ref().map(|what| format!(": {what}")).unwrap_or_default())]
    Beyond(Option<String>),
    /// A field that does not exist for this caller.
    #[error("{0}")]
    UnknownField(String),
    /// A filter, sort or search that cannot be understood.
    #[error("{0}")]
    BadQuery(String),
    /// A value that does not fit its field.
    #[error("{field}: {message}")]
    BadValue {
        /// The field as sent.
        field: String,
        /// What is wrong with the value.
        message: String,
    },
    /// More records at once than may be.
    #[error("more than {0} records at once; send fewer")]
    TooMany(usize),
    /// Every record of a collection would be changed, and nothing says that this is meant.
    #[error("this would change every record of the collection; give a condition that chooses some")]
    Unconditional,
}
