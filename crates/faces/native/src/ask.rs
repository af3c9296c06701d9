//! A request on its way through: who sends it, what it names, what it brings.

use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use portreeve_http::{
    MediaType, RateLimit, SessionCookie, bearer, check_same_origin, media_type, parse_json, peer,
    read_body, read_text, request_id,
};
use portreeve_model::CollectionName;
use portreeve_service::{Budget, Caller, DeniedAsk, Portreeve, RequestFacts, ServiceError};
use serde_json::Value as Json;

use crate::decode::{Object, Parameters, no_condition};
use crate::error::Failure;
use crate::route::Declared;
use crate::simulation::{self, Label, Sight};

const FACE_NAME: &str = "native";

/// What an endpoint answers.
pub(crate) type Answer = Result<Response, Failure>;

/// What an endpoint is given.
pub(crate) struct Ask {
    portreeve: Arc<Portreeve>,
    received: Arc<Received>,
    // Behind a lock that is never locked: a body can be sent to other threads and not be shared with them.
    body: Mutex<Body>,
}

/// What came in, but for the body: an endpoint has it, and whoever makes an answer of its failure.
pub(crate) struct Received {
    parts: Parts,
    segments: Option<RawPathParams>,
    route: Arc<Endpoint>,
    // What was denied, where the path does not say it.
    denied: OnceLock<DeniedAsk>,
    label: Label,
}

/// A declared route, in the words of the service.
struct Endpoint {
    declared: Arc<Declared>,
    method: Arc<str>,
    operation: Arc<str>,
}

impl Received {
    fn segment(&self, name: &str) -> Option<&str> {
        let found = self.segments.as_ref()?.iter();
        let mut found = found.filter(|(known, _)| *known == name);
        found.next().map(|(_, text)| text)
    }

    fn token(&self, portreeve: &Portreeve) -> Result<Option<&str>, Failure> {
        let headers = &self.parts.headers;
        if let Some(token) = bearer(headers)? {
            return Ok(Some(token));
        }
        let Some(token) = cookie(portreeve.development()).read(headers)? else {
            return Ok(None);
        };
        check_same_origin(&self.parts.method, headers)?;
        Ok(Some(token))
    }

    // What there is to say beside the answer: how many more requests there may be, and that a cookie is no good any more,
    // which a browser would go on sending.
    fn finish(&self, portreeve: &Portreeve, dead: bool, mut response: Response) -> Response {
        if portreeve.limits_requests()
            && let Ok(Some(token)) = self.token(portreeve)
            && let Some(budget) = portreeve.request_budget(token, FACE_NAME)
        {
            told(&budget).tell(&mut response);
        }
        let headers = &self.parts.headers;
        // Not by any 401: a password that was mistyped ends no session.
        if dead
            && headers.contains_key(header::COOKIE)
            && !headers.contains_key(header::AUTHORIZATION)
        {
            let cleared = cookie(portreeve.development()).clear();
            return with_cookie(response, cleared);
        }
        response
    }

    fn facts(&self) -> RequestFacts {
        RequestFacts {
            ip: peer(&self.parts.extensions),
            method: Some(Arc::clone(&self.route.method)),
            face: Some(face()),
            operation: Some(Arc::clone(&self.route.operation)),
            id: Some(request_id(&self.parts.headers).into()),
        }
    }

    /// The id of the request.
    pub fn id(&self) -> &str {
        request_id(&self.parts.headers)
    }

    /// Has a denial remembered, and gives its id.
    pub async fn remember(&self, portreeve: &Portreeve, error: &ServiceError) -> Option<String> {
        if !error.is_denial() {
            return None;
        }
        let facts = self.facts();
        let sight = match self.token(portreeve) {
            Ok(Some(token)) if portreeve.is_of_share(token) => {
                let shared = portreeve.shared(token, facts.clone()).await;
                shared.ok().map(Sight::Share)
            }
            // What another one's eyes do not see is not denied to whoever looks through them.
            Ok(token) if !simulation::is_wanted(&self.parts.headers) => {
                let caller = portreeve.same_caller(token, facts.clone()).await;
                caller.ok().map(Sight::Own)
            }
            _ => None,
        };
        let asked = self.denied.get().cloned().unwrap_or_else(|| {
            let text = |name| self.segment(name).map(str::to_owned);
            let route = &self.route.declared;
            DeniedAsk {
                action: route.action().map(str::to_owned),
                collection: text("collection")
                    .or_else(|| route.rule.collection().map(str::to_owned)),
                key: text("key"),
            }
        });
        let id = portreeve.remember_denial(sight.as_ref().map(Into::into), &facts, asked, error)?;
        Some(id.to_string())
    }
}

impl Ask {
    /// The operations.
    pub fn portreeve(&self) -> &Arc<Portreeve> {
        &self.portreeve
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.received.parts.headers
    }

    /// The token, where there is one: that of the header, and only where there is none that of the cookie, which is good
    /// for a page of this site.
    pub fn token(&self) -> Result<Option<&str>, Failure> {
        self.received.token(&self.portreeve)
    }

    /// The answer of a failure that is not the end of it.
    pub async fn fail(&self, failure: Failure) -> Response {
        failure.answer(&self.portreeve, &self.received).await
    }

    /// What the transport knows.
    pub fn facts(&self) -> RequestFacts {
        self.received.facts()
    }

    /// Says what is asked for, where the path does not, for those who may have a denial explained.
    pub fn note_denied(&self, asked: Option<DeniedAsk>) {
        if let Some(asked) = asked {
            // The first denial ends the request.
            let _ = self.received.denied.set(asked);
        }
    }

    /// Through whose eyes it is to be answered: those of whoever asks, those that a share opens, or the ones he is allowed
    /// to look through.
    pub async fn sight(&self) -> Result<Sight, Failure> {
        let Some(simulation) = simulation::wanted(self.headers())? else {
            if let Some(token) = self.token()?.filter(|it| self.portreeve.is_of_share(it)) {
                let shared = self.portreeve.shared(token, self.facts()).await?;
                return Ok(Sight::Share(shared));
            }
            return Ok(Sight::Own(self.caller().await?));
        };
        let mut again = true;
        loop {
            let caller = self.account().await?;
            match self.portreeve.simulate(&caller, &simulation).await {
                Ok(simulated) => {
                    self.received.label.set(&simulated);
                    return Ok(Sight::Other(simulated));
                }
                Err(error) if again && error.is_policy_changed() => again = false,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Who asks.
    pub async fn caller(&self) -> Result<Caller, Failure> {
        Ok(self.portreeve.caller(self.token()?, self.facts()).await?)
    }

    /// Who asks, on a route where nobody is not enough.
    pub async fn account(&self) -> Result<Caller, Failure> {
        if self.token()?.is_none() {
            return Err(Failure::Unauthenticated);
        }
        self.caller().await
    }

    /// The query string as it came.
    pub fn query(&self) -> &str {
        self.received.parts.uri.query().unwrap_or_default()
    }

    /// The query parameters that the route declares, and no others.
    pub fn parameters(&self) -> Result<Parameters<'_>, Failure> {
        Parameters::read(self.query(), self.received.route.declared.query)
    }

    /// Refuses every query parameter, where there are none.
    pub fn no_parameters(&self) -> Result<(), Failure> {
        self.parameters().map(|_| ())
    }

    /// Refuses conditions on a record, where there is not one record.
    pub fn no_condition(&self) -> Result<(), Failure> {
        no_condition(self.headers())
    }

    /// A segment of the path, decoded.
    pub fn segment(&self, name: &str) -> &str {
        self.received.segment(name).unwrap_or_default()
    }

    /// The collection the path names. What is no name cannot be there.
    pub fn collection(&self) -> Result<CollectionName, Failure> {
        CollectionName::parse(self.segment("collection")).map_err(|_| ServiceError::NotFound.into())
    }

    /// The body as JSON.
    pub async fn json(&mut self) -> Result<Json, Failure> {
        self.demand_type(&[MediaType::Json])?;
        let body = self.take_body();
        let bytes = read_body(&self.received.parts.headers, body).await?;
        if bytes.is_empty() {
            return Err(Failure::NoBody);
        }
        Ok(parse_json(&bytes)?)
    }

    /// The body as a JSON object with these members and no others.
    pub async fn object(&mut self, known: &'static [&'static str]) -> Result<Object, Failure> {
        Object::read("", self.json().await?, known)
    }

    /// The body as the text of a document.
    pub async fn document(&mut self) -> Result<String, Failure> {
        self.demand_type(&[MediaType::Json, MediaType::Yaml])?;
        let body = self.take_body();
        let text = read_text(&self.received.parts.headers, body).await?;
        if text.trim().is_empty() {
            return Err(Failure::NoBody);
        }
        Ok(text)
    }

    fn take_body(&mut self) -> Body {
        std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    // A page of another site can post text/plain without asking; it cannot post these.
    fn demand_type(&self, wanted: &'static [MediaType]) -> Result<(), Failure> {
        match media_type(self.headers()) {
            Some(sent) if wanted.contains(&sent) => Ok(()),
            _ => Err(Failure::MediaType(wanted)),
        }
    }
}

/// The cookie that holds a session. Development is without TLS, and on this machine only.
pub(crate) fn cookie(development: bool) -> &'static SessionCookie {
    static SECURE: LazyLock<SessionCookie> =
        LazyLock::new(|| SessionCookie::of_host("portreeve", true));
    static PLAIN: LazyLock<SessionCookie> =
        LazyLock::new(|| SessionCookie::of_host("portreeve", false));
    if development { &PLAIN } else { &SECURE }
}

/// The same answer with a cookie set, or taken away.
pub(crate) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A budget as its headers tell it.
pub(crate) fn told(budget: &Budget) -> RateLimit {
    RateLimit {
        name: budget.name,
        limit: budget.limit,
        window: budget.window,
        remaining: budget.remaining,
        reset: budget.reset,
    }
}

thread_local! {
    static FACE: Arc<str> = Arc::from(FACE_NAME);
}

pub(crate) fn face() -> Arc<str> {
    FACE.with(Arc::clone)
}

/// What runs where a route is declared.
pub(crate) fn endpoint<F, A>(declared: Arc<Declared>, run: F) -> MethodRouter<Arc<Portreeve>>
where
    F: Fn(Ask) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    let filter = match declared.method {
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    let route = Arc::new(Endpoint {
        method: declared.method.into(),
        operation: declared.operation.into(),
        declared,
    });
    on(
        filter,
        async move |State(portreeve): State<Arc<Portreeve>>, request: Request| {
            let (mut parts, body) = request.into_parts();
            let looks = simulation::check(&parts.headers, route.declared.looks);
            let segments = RawPathParams::from_request_parts(&mut parts, &()).await;
            let named = segments.is_ok();
            let received = Arc::new(Received {
                parts,
                segments: segments.ok(),
                route,
                denied: OnceLock::new(),
                label: Label::default(),
            });
            let answer = if let Err(failure) = looks {
                Err(failure)
            } else if named {
                run(Ask {
                    portreeve: Arc::clone(&portreeve),
                    received: Arc::clone(&received),
                    body: Mutex::new(body),
                })
                .await
            } else {
                // A path that is no text names nothing.
                Err(ServiceError::NotFound.into())
            };
            let mut dead = false;
            let mut response = match answer {
                Ok(response) => response,
                Err(failure) => {
                    dead = failure.is_dead_session();
                    failure.answer(&portreeve, &received).await
                }
            };
            received.label.tell(&mut response);
            received.finish(&portreeve, dead, response)
        },
    )
}

/// What is answered where there is no route.
pub(crate) async fn no_route() -> Response {
    Failure::NoRoute.problem().into_response()
}

/// What is answered where a route does not have the method; the router adds which it has.
pub(crate) async fn no_method() -> Response {
    Failure::NoMethod.problem().into_response()
}
