//! The decision point: documents, the rule language, snapshots, decide, eval, explain
