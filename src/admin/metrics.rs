//! `GET /metrics`: in Prometheus's text format, or in OpenMetrics for who asks for that.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::router::ProxyState;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(proxy): ProxyState, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT);
    let accepted: Vec<&str> = accepted.iter().filter_map(|a| a.to_str().ok()).collect();
    let (kind, body) = if wants_open_metrics(&accepted.join(",")) {
        (OPEN_METRICS, proxy.open_metrics())
    } else {
        (TEXT, proxy.metrics())
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    (StatusCode::OK, headers, body).into_response()
}

/// Whether who accepts this names OpenMetrics, and wants nothing else more.
fn wants_open_metrics(accept: &str) -> bool {
    let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut quality = 1.0;
        let mut version = "1.0.0";
        for part in parts {
            match part.split_once('=') {
                Some(("q" | "Q", value)) => quality = value.parse().unwrap_or(0.0),
                Some(("version", value)) => version = value.trim_matches('"'),
                _ => {}
            }
        }
        match &*name {
            "application/openmetrics-text" if version == "1.0.0" => {
                open_metrics = open_metrics.max(quality);
            }
            "text/plain" | "text/*" | "*/*" => text = text.max(quality),
            _ => {}
        }
    }
    open_metrics > 0.0 && open_metrics >= text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::{Fake, api_over_tcp, exchange};

    #[test]
    fn openmetrics_is_for_who_wants_it_most() {
        for (accept, wanted) in [
            ("", false),
            ("*/*", false),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", false),
            ("application/openmetrics-text", true),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                true,
            ),
            ("application/openmetrics-text; version=0.0.1", false),
            ("application/openmetrics-text;version=1.0.0;q=0", false),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.5", false),
            // Prometheus 2.42.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                true,
            ),
            // Prometheus 3 asks for escaping as well.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.2",
                true,
            ),
        ] {
            assert_eq!(wants_open_metrics(accept), wanted, "{accept}");
        }
    }

    #[tokio::test]
    async fn the_answer_says_what_it_is() {
        let served = api_over_tcp(Fake::default()).await;
        let ask = async |accept: &str| {
            let request =
                format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n");
            exchange(&served, &request).await
        };
        let text = ask("*/*").await;
        assert!(
            text.contains(&format!("content-type: {TEXT}\r\n")),
            "{text}"
        );
        assert!(!text.contains("# EOF") && text.contains("vary: accept\r\n"));
        let open = ask("application/openmetrics-text; version=1.0.0").await;
        assert!(
            open.contains(&format!("content-type: {OPEN_METRICS}\r\n")),
            "{open}"
        );
        assert!(open.ends_with("# EOF\n"), "{open}");
    }
}
