//! `outrigger demo`

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::{finish, say};
use crate::app;
use crate::app::reload::Source;
use crate::config;

/// Proxy for a built-in upstream, ready to curl
#[derive(Args)]
#[command(after_help = "Example:
  outrigger demo
  curl -i http://127.0.0.1:15001/hello")]
pub(super) struct Demo {}

/// What the demo serves; `{upstream}` stands for the built-in upstream's address.
const CONFIG: &str = include_str!("demo.toml");

const WELCOME: &str = "
outrigger demo: listening on http://127.0.0.1:15001, admin API on http://127.0.0.1:15000

  curl -i http://127.0.0.1:15001/hello            forwarded to the built-in upstream
  curl -i http://127.0.0.1:15001/brief/hello      the same, its JSON changed on the way back
  curl -i http://127.0.0.1:15001/slow?ms=3000     504: the route's timeout is 1 s
  curl -N http://127.0.0.1:15001/events           a stream of events
  curl -i http://127.0.0.1:15001/status           answered by the proxy itself
  curl -i http://127.0.0.1:15001/old/page         redirected
  curl -i -X DELETE http://127.0.0.1:15001/hello  405: only the method does not match
  curl -i http://127.0.0.1:15001/elsewhere        404: no route matches
  curl -i http://127.0.0.1:15001/limited          429 from the third time on
  curl -i http://127.0.0.1:15001/private          403: not from this network
  curl -i http://127.0.0.1:15001/fragile/503      tried twice, and from the third time on not at all
  curl -i http://127.0.0.1:15001/changed/7        headers, a key and the body changed on the way
  curl -s http://127.0.0.1:15000/routes           what is configured
  curl -s http://127.0.0.1:15000/metrics          what was counted

Stop it with Ctrl-C.
";

impl Demo {
    pub fn run(&self) -> ExitCode {
        let upstream = match start_upstream() {
            Ok(address) => address,
            Err(error) => return finish(Err(error)),
        };
        let text = CONFIG.replace("{upstream}", &upstream.to_string());
        match config::parse("demo.toml", &text) {
            Ok(loaded) => finish(app::run(Source::BuiltIn, loaded, |_| say(WELCOME))),
            Err(report) => finish(Err(io::Error::other(report.to_string()))),
        }
    }
}

/// Starts the built-in upstream on a thread that lives as long as the process.
fn start_upstream() -> io::Result<std::net::SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("demo-upstream".into())
        .spawn(move || {
            runtime.block_on(async {
                let serving = async {
                    axum::serve(tokio::net::TcpListener::from_std(listener)?, upstream()).await
                };
                if let Err(error) = serving.await {
                    tracing::error!(%error, "the demo's upstream ended");
                }
            });
        })?;
    Ok(address)
}

fn upstream() -> Router {
    Router::new()
        .route("/slow", get(slow))
        .route("/events", get(events))
        .route("/answer/{status}", any(answer))
        .fallback(echo)
}

/// Tells what arrived.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let headers: serde_json::Map<String, serde_json::Value> = headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes())
                    .into_owned()
                    .into(),
            )
        })
        .collect();
    let told = json!({
        "method": method.as_str(),
        "path": uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let text = serde_json::to_string_pretty(&told).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text + "\n")
}

#[derive(Deserialize)]
struct Delay {
    ms: Option<u64>,
}

async fn slow(Query(delay): Query<Delay>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(delay.ms.unwrap_or(500).min(60_000))).await;
    "late, but here\n"
}

async fn answer(Path(status): Path<u16>) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
}

/// One event a second, ten in all.
async fn events() -> Response {
    let events = futures_util::stream::unfold(1, |number: u32| async move {
        if number > 10 {
            return None;
        }
        if number > 1 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let event = Bytes::from(format!("data: event {number}\n\n"));
        Some((Ok::<_, io::Error>(event), number + 1))
    });
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(events),
    )
        .into_response()
}
