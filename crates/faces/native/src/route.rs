//! What a route says of itself: where it is, under which rule it may be used, what it takes and gives.
//!
//! The router is made of these alone, so what is not declared is not there. Tests walk over the same declarations: who
//! stands outside a rule gets nothing, whatever comes in and goes out has the declared shape, and the reference page and
//! the OpenAPI document are held against them.

mod declared;
mod rule;

use axum::routing::MethodRouter;
use portreeve_service::Portreeve;
use std::sync::Arc;

use crate::ask::{Answer, Ask, endpoint};
use crate::error::Code;

pub use declared::{Body, Declared, Gives};
pub use rule::Rule;

/// A route: its declaration and what runs behind it.
pub(crate) struct Route {
    declared: Declared,
    make: Box<dyn FnOnce(Arc<Declared>) -> MethodRouter<Arc<Portreeve>>>,
}

macro_rules! methods {
    ($($name:ident $method:literal;)*) => {$(
        #[doc = concat!("A route for `", $method, "`: its path, the name of its operation, who may use it, what runs.")]
        pub(crate) fn $name<F, A>(
            path: &'static str,
            operation: &'static str,
            rule: Rule,
            run: F,
        ) -> Route
        where
            F: Fn(Ask) -> A + Clone + Send + Sync + 'static,
            A: Future<Output = Answer> + Send,
        {
            Route::new($method, path, operation, rule, run)
        }
    )*};
}

methods! {
    get "GET";
    post "POST";
    put "PUT";
    patch "PATCH";
    delete "DELETE";
}

impl Route {
    fn new<F, A>(
        method: &'static str,
        path: &'static str,
        operation: &'static str,
        rule: Rule,
        run: F,
    ) -> Self
    where
        F: Fn(Ask) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Answer> + Send,
    {
        Self {
            declared: Declared::new(method, path, operation, rule),
            make: Box::new(move |declared| endpoint(declared, run)),
        }
    }

    /// What it does, in one line.
    pub fn about(mut self, what: &'static str) -> Self {
        self.declared.about = what;
        self
    }

    /// The query parameters it takes.
    pub fn query(mut self, names: &'static [&'static str]) -> Self {
        self.declared.query = names;
        self
    }

    /// The JSON it takes, and an example of it.
    pub fn body(mut self, shape: &'static str, example: &'static str) -> Self {
        self.declared.body = Some(Body {
            shape,
            example,
            document: false,
        });
        self
    }

    /// It takes an access document, which may be YAML; an example of it as JSON.
    pub fn document(mut self, example: &'static str) -> Self {
        self.declared.body = Some(Body {
            shape: "{ *: any }",
            example,
            document: true,
        });
        self
    }

    /// An answer it gives: a status and the shape of its body; no shape where there is no body.
    pub fn gives(mut self, status: u16, shape: &'static str) -> Self {
        self.declared.gives.push(Gives {
            status,
            shape,
            media: "application/json",
        });
        self
    }

    /// The same where the answer is no JSON.
    pub fn gives_as(mut self, status: u16, media: &'static str) -> Self {
        self.declared.gives.push(Gives {
            status,
            shape: "text",
            media,
        });
        self
    }

    /// Errors of its own, beside those that follow from the rest.
    pub fn codes(mut self, codes: &[&'static Code]) -> Self {
        self.declared.codes.extend_from_slice(codes);
        self
    }

    /// It changes something.
    pub fn writes(mut self) -> Self {
        self.declared.writes = true;
        self
    }

    /// It may be asked through another one's eyes.
    pub fn looks(mut self) -> Self {
        self.declared.looks = true;
        self
    }

    /// It is counted, and answers tell what is left of the budget with this name.
    pub fn throttled(mut self, budget: &'static str) -> Self {
        self.declared.throttled = Some(budget);
        self
    }

    /// What a denial is remembered as, where it is not what its rule names first.
    pub fn denied_as(mut self, action: &'static str) -> Self {
        self.declared.denied_as = Some(action);
        self
    }

    /// What it says of itself.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// Its path, and what is routed there.
    pub fn into_router(self) -> (&'static str, MethodRouter<Arc<Portreeve>>) {
        let path = self.declared.path;
        (path, (self.make)(Arc::new(self.declared)))
    }
}
