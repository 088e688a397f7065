//! The request that a question is about.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Method, Version, header};

use crate::explain::Question;
use crate::http::body::Body;
use crate::http::headers::Headers;
use crate::http::message::{Context, Request, RequestId};
use crate::http::peer::{Identity, Peer, PeerAddress};
use crate::listener::{self, ListenAddress};
use crate::net::timer;
use crate::value::Name;

/// The caller's port, where only the address is given.
const PORT: u16 = 40_000;

/// The listeners of a config.
pub type Listeners<'c> = Vec<(&'c Name, &'c listener::Config)>;

/// A request, and the listener that accepts it.
pub struct Asked<'c> {
    pub request: Box<Request>,
    pub listener: &'c listener::Config,
}

/// Makes the request of `question` as `listeners` would.
///
/// # Errors
/// What is wrong with the question.
pub fn of<'c>(question: &Question, listeners: &Listeners<'c>) -> Result<Asked<'c>, String> {
    let method = Method::from_bytes(question.method.as_bytes())
        .map_err(|_| format!("`{}` is not a method", question.method))?;
    let (authority, target) = target(&question.url, &method)?;
    let (name, listener) = chosen(question, authority.as_ref(), listeners)?;
    let mut headers = headers(question)?;
    let authority = match authority {
        Some(authority) => Some(authority),
        None => headers
            .get_str(&header::HOST)
            .and_then(|host| host.parse().ok()),
    };
    if let Some(authority) = &authority
        && !headers.contains(&header::HOST)
    {
        headers.insert_text(&header::HOST, authority.as_str());
    }
    let body = question.body.clone().unwrap_or_default();
    let body = if body.is_empty() {
        Body::empty()
    } else {
        headers.insert(&header::CONTENT_LENGTH, &HeaderValue::from(body.len()));
        Body::full(Bytes::from(body))
    };
    let peer = Arc::new(Peer {
        address: address(question, listener)?,
        listener: name.shared(),
        encrypted: listener.tls.is_some(),
        identity: question.identity.as_deref().map(identity).transpose()?,
        source: None,
        original: original(question)?,
    });
    let upgrade = headers
        .get(&header::UPGRADE)
        .and_then(|value| HeaderValue::from_bytes(value).ok());
    let mut request = Box::new(Request {
        method,
        authority,
        target,
        version: Version::HTTP_11,
        headers,
        body,
        upgrade,
        context: Context::new(peer, "".into(), RequestId::new(), timer::now()),
    });
    if request.is_grpc() {
        // It is spoken over nothing else.
        request.version = Version::HTTP_2;
    }
    Ok(Asked { request, listener })
}

/// Authority and target of a URL, or of what stands in a request line.
fn target(url: &str, method: &Method) -> Result<(Option<Authority>, PathAndQuery), String> {
    let wrong = || format!("`{url}` is no URL: write `http://host/path` or `/path`");
    if *method == Method::CONNECT {
        let authority = url.parse().map_err(|_| wrong())?;
        return Ok((Some(authority), PathAndQuery::from_static("/")));
    }
    let (authority, rest) = match url.split_once("://") {
        Some((_, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let authority: Authority = rest[..end].parse().map_err(|_| wrong())?;
            (Some(authority), &rest[end..])
        }
        None if url.starts_with('/') || url == "*" => (None, url),
        None => return Err(wrong()),
    };
    // A client keeps the fragment to itself.
    let rest = rest.split('#').next().unwrap_or_default();
    let whole = match rest.as_bytes().first() {
        None => "/".to_owned(),
        Some(b'?') => format!("/{rest}"),
        Some(_) => rest.to_owned(),
    };
    let target = PathAndQuery::try_from(whole).map_err(|_| wrong())?;
    Ok((authority, target))
}

fn chosen<'c>(
    question: &Question,
    authority: Option<&Authority>,
    listeners: &Listeners<'c>,
) -> Result<(&'c Name, &'c listener::Config), String> {
    let port = authority.and_then(Authority::port_u16);
    let has_port = |listener: &listener::Config| match listener.listen {
        ListenAddress::Tcp(address) => Some(address.port()) == port,
        ListenAddress::Unix(_) => false,
    };
    let found = match &question.listener {
        Some(wanted) => {
            let mut named = listeners.iter();
            let found = named.find(|(name, _)| name.as_str() == wanted);
            return found.copied().ok_or_else(|| {
                let names: Vec<&str> = listeners.iter().map(|(name, _)| name.as_str()).collect();
                let names = names.join("`, `");
                format!("no listener is named `{wanted}`; there is `{names}`")
            });
        }
        None => listeners.iter().find(|(_, listener)| has_port(listener)),
    };
    let found = found.or(listeners.first()).copied();
    found.ok_or_else(|| "the config has no listener".to_owned())
}

fn headers(question: &Question) -> Result<Headers, String> {
    let mut headers = Headers::new();
    for (name, values) in &question.headers {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`{name}` is not the name of a header"))?;
        for value in &values.0 {
            // The value is not repeated: it may be a secret.
            let value = HeaderValue::from_bytes(value.trim().as_bytes())
                .map_err(|_| format!("the value of `{name}` is none that a header can have"))?;
            headers.append(&known, &value);
        }
    }
    Ok(headers)
}

fn address(question: &Question, listener: &listener::Config) -> Result<PeerAddress, String> {
    let Some(client) = &question.client else {
        return Ok(match listener.listen {
            ListenAddress::Tcp(_) => PeerAddress::Tcp(([127, 0, 0, 1], PORT).into()),
            ListenAddress::Unix(_) => PeerAddress::Unix,
        });
    };
    let whole = client.parse::<SocketAddr>();
    let address = whole.or_else(|_| client.parse().map(|ip| SocketAddr::new(ip, PORT)));
    address
        .map(PeerAddress::Tcp)
        .map_err(|_| format!("`{client}` is not an address"))
}

fn identity(text: &str) -> Result<Identity, String> {
    if text.starts_with("spiffe://") {
        return Ok(Identity::new(Some(text), &[], ""));
    }
    match text.strip_prefix("dns:") {
        Some(name) if !name.is_empty() => Ok(Identity::new(None, &[name], "")),
        _ => Err(format!(
            "`{text}` is no identity: write `spiffe://…` or `dns:NAME`"
        )),
    }
}

fn original(question: &Question) -> Result<Option<Box<SocketAddr>>, String> {
    let Some(text) = &question.original else {
        return Ok(None);
    };
    let address = text.parse();
    let address = address.map_err(|_| format!("`{text}` is not an address with its port"))?;
    Ok(Some(Box::new(address)))
}
