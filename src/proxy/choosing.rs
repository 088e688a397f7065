//! What the data path does with a request before its route has it, for whoever asks without sending one.

use std::sync::Arc;

use http::HeaderName;
use http::uri::Authority;

use super::serving::{Route, Serving};
use super::{find_preflight, find_route, forwarding};
use crate::http::error::Error;
use crate::http::message::Request;
use crate::http::path;
use crate::http::semantics::preflight;
use crate::listener;
use crate::route::{Lookup, PassedOver};

/// The route of a request, and those that it does not get.
pub struct Choice {
    /// None: the listener answers itself.
    pub route: Result<Option<Arc<Route>>, Error>,
    /// It announces another request (CORS), by which the route was chosen.
    pub is_preflight: bool,
    pub passed_over: Vec<PassedOver>,
}

/// Makes `request` ready for its policies, as a request that arrives is made, and chooses its route.
pub fn choose(serving: &Serving, request: &mut Request, listener: &listener::Config) -> Choice {
    request.context.request_id = forwarding::request_id(&request.headers);
    forwarding::receive(request, listener);
    let mut target = request.target.clone();
    let separators = path::normalise_in_place(&mut target);
    let route = find_route(serving, request, listener);
    let mut choice = Choice {
        route,
        is_preflight: false,
        passed_over: Vec::new(),
    };
    let Ok(encoded_separators) = separators else {
        return choice;
    };
    let mut lookup = Lookup {
        listener: &request.context.peer.listener,
        host: request.authority.as_ref().map(Authority::as_str),
        method: &request.method,
        path: target.path(),
        encoded_separators,
        query: target.query(),
        headers: &request.headers,
    };
    choice.is_preflight = find_preflight(serving, request, &lookup).is_some();
    let announced = preflight::announced_method(&request.method, &request.headers);
    let announced = announced.filter(|_| choice.is_preflight);
    lookup.method = announced.as_ref().unwrap_or(&request.method);
    let announces = |name: &HeaderName| {
        choice.is_preflight && preflight::announces_header(&request.headers, name)
    };
    let chosen = match &choice.route {
        Ok(Some(route)) => Some(route.name.clone()),
        _ => None,
    };
    choice.passed_over = (serving.table).passed_over(&lookup, announces, chosen.as_deref());
    if let Ok(Some(route)) = &choice.route {
        request.context.route = route.name.clone();
    }
    choice
}
